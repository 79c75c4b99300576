"""Where the references of kustomizations lead: inside the repository, or nowhere."""

from __future__ import annotations

import os
import re
import stat
from typing import TypeAlias

import msgspec

from m2g.kustomize.references import InvalidKustomization

MAX_RESOURCE = 16 << 20
"""Of a file that only kustomize reads."""
_LEADING = re.compile(r"(\.\./)*[^/]+(/[^/.][^/]*)*|(\.\./)*\.\.")
"""A path whose `..` all come first: what they lead out of is known, so that no link can hide behind one."""

FileState: TypeAlias = tuple[int, int, int, int]
"""Inode, size, and the times of the last changes of content and of anything: the same for a file left alone."""


def read_state(state: os.stat_result) -> FileState:
    """What tells whether a file was touched in the meantime."""
    return (state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)


class ResolvedPath(msgspec.Struct, frozen=True, kw_only=True):
    """Where a reference leads, relative to the root; `linked` where it goes through a link."""

    path: str
    state: os.stat_result
    via_symlink: bool

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.state.st_mode)


class PathResolver:
    """Follows paths below `root`, which is a real path."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._start = root.rstrip(os.sep) + os.sep
        self._real: set[str] = {root}
        """Folders whose path goes through no link."""

    def resolve(self, text: str, folder: str, file: str, key: str = "") -> ResolvedPath:
        """Where `text`, seen from `folder`, leads.

        Refused unless it exists inside the root.
        """
        where = f"{key}: {text[:200]!r}" if key else "this path"
        try:
            real, found, linked = self._followed(folder, text)
            if real != self.root and not real.startswith(self._start):
                hint = "copy what you need into the repository"
                raise InvalidKustomization(file, f"{where} leads outside the repository", hint)
        except (OSError, ValueError) as error:
            raise InvalidKustomization(file, f"{where} does not exist", "create it, or remove the reference") from error
        if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
            raise InvalidKustomization(file, f"{where} is neither a file nor a folder")
        if found.st_size > MAX_RESOURCE:
            raise InvalidKustomization(file, f"{where} is larger than {MAX_RESOURCE >> 20} MiB")
        return ResolvedPath(path=real[len(self._start) :].replace(os.sep, "/"), state=found, via_symlink=linked)

    def _followed(self, folder: str, text: str) -> tuple[str, os.stat_result, bool]:
        """The real path of `text` seen from `folder`, what is there, and whether a link leads to it.

        One lstat tells where no link can be in it.
        """
        path = os.path.join(self.root, folder, text)
        if _LEADING.fullmatch(text):
            straight = os.path.normpath(path)
            if self._is_real(os.path.dirname(straight)):
                found = os.lstat(straight)
                if not stat.S_ISLNK(found.st_mode):
                    return straight, found, False
        real = os.path.realpath(path)
        return real, os.stat(real), _has_link(self.root, os.path.join(folder, text))

    def _is_real(self, folder: str) -> bool:
        """Whether no link leads to a folder of the repository."""
        unknown: list[str] = []
        while folder not in self._real:
            if not folder.startswith(self._start):
                return False
            unknown.append(folder)
            folder = os.path.dirname(folder)
        while unknown and not os.path.islink(unknown[-1]):
            self._real.add(unknown.pop())
        return not unknown


def _has_link(start: str, path: str) -> bool:
    """Whether any step of the path is a link, also one that a later `..` leaves again."""
    for part in path.split("/"):
        start = os.path.join(start, part)
        if os.path.islink(start):
            return True
    return False
