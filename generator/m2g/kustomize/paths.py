"""Resolve the references of kustomizations, and check that they stay inside the repository."""

from __future__ import annotations

import os
import re
import stat
from typing import TypeAlias

import msgspec

from m2g.kustomize.references import InvalidKustomization

MAX_RESOURCE = 16 << 20
"""Maximum size of a file that only kustomize reads."""
_LEADING = re.compile(r"(\.\./)*[^/]+(/[^/.][^/]*)*|(\.\./)*\.\.")
"""A path whose `..` all come first. They leave known folders, so no symlink can hide behind one."""

FileState: TypeAlias = tuple[int, int, int, int]
"""Inode, size, mtime and ctime. They are equal for a file that was not touched."""


def read_state(state: os.stat_result) -> FileState:
    """The state by which a later run detects that a file was touched."""
    return (state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)


class ResolvedPath(msgspec.Struct, frozen=True, kw_only=True):
    """The target of a reference, relative to the root. `via_symlink` is true if the path contains a symlink."""

    path: str
    state: os.stat_result
    via_symlink: bool

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.state.st_mode)


class PathResolver:
    """Resolves paths in `root`, which must be a real path."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._start = root.rstrip(os.sep) + os.sep
        self._real: set[str] = {root}
        """Folders whose path contains no symlink."""

    def resolve(self, text: str, folder: str, file: str, field: str = "") -> ResolvedPath:
        """The target of `text`, relative to `folder`.

        Raises InvalidKustomization unless it exists inside the root.
        """
        where = f"{field}: {text[:200]!r}" if field else "this path"
        try:
            real, state, via_symlink = self._follow(folder, text)
            if real != self.root and not real.startswith(self._start):
                hint = "copy the file into the repository"
                raise InvalidKustomization(file, f"{where} is outside the repository", hint)
        except (OSError, ValueError) as error:
            raise InvalidKustomization(file, f"{where} does not exist", "create it, or remove the reference") from error
        if not stat.S_ISREG(state.st_mode) and not stat.S_ISDIR(state.st_mode):
            raise InvalidKustomization(file, f"{where} is neither a file nor a folder")
        if state.st_size > MAX_RESOURCE:
            raise InvalidKustomization(file, f"{where} is larger than {MAX_RESOURCE >> 20} MiB")
        return ResolvedPath(path=real[len(self._start) :].replace(os.sep, "/"), state=state, via_symlink=via_symlink)

    def _follow(self, folder: str, text: str) -> tuple[str, os.stat_result, bool]:
        """The real path of `text` relative to `folder`, its state, and whether the path contains a symlink.

        One lstat is enough for a path that cannot contain a symlink.
        """
        path = os.path.join(self.root, folder, text)
        if _LEADING.fullmatch(text):
            straight = os.path.normpath(path)
            if self._is_real(os.path.dirname(straight)):
                state = os.lstat(straight)
                if not stat.S_ISLNK(state.st_mode):
                    return straight, state, False
        real = os.path.realpath(path)
        return real, os.stat(real), _has_symlink(self.root, os.path.join(folder, text))

    def _is_real(self, folder: str) -> bool:
        """Whether the path of a folder contains no symlink."""
        unknown: list[str] = []
        while folder not in self._real:
            if not folder.startswith(self._start):
                return False
            unknown.append(folder)
            folder = os.path.dirname(folder)
        while unknown and not os.path.islink(unknown[-1]):
            self._real.add(unknown.pop())
        return not unknown


def _has_symlink(start: str, path: str) -> bool:
    """Whether any part of the path is a symlink, including parts that a later `..` leaves again."""
    for part in path.split("/"):
        start = os.path.join(start, part)
        if os.path.islink(start):
            return True
    return False
