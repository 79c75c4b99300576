"""The files beyond a model's own folder that its overlays are made of: what they were is remembered with the rest."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from m2g import kustomize
from m2g.core import safe_files
from m2g.core.cache import key
from m2g.core.errors import M2gError

_LINKED, _UNREADABLE = b"linked", b"unreadable"
_Seen = tuple[kustomize.FileState | None, bytes]


class Outside:
    """Files of a repository, each read once unless it was touched since."""

    def __init__(self, root: Path) -> None:
        self._root = Path(os.path.realpath(root))
        self._seen: dict[str, _Seen] = {}

    def same(self, known: Mapping[str, bytes]) -> bool:
        """Whether each file is what it was."""
        return all(self._look(file)[1] == digest for file, digest in known.items())

    def of(self, slug: str, built: kustomize.BuildResult) -> dict[str, bytes] | None:
        """The files that a model's overlay is made of and the names that could become one, with digests (empty: none).

        None where that is not all: a link may come to lead elsewhere, a plugin reads what its configuration names, a
        file was touched since kustomize could read it.
        """
        own = f"models/{slug}/"
        there = {file: seen for file, seen in built.files.items() if not file.startswith(own)}
        if built.linked or (built.plugins and there):
            return None
        if any(self._stamp(file) != seen for file, seen in built.files.items() if file not in there):
            return None
        folders = {found.file.rpartition("/")[0] for found in built.kustomizations if found.file in there}
        names = {f"{folder}/{name}" for folder in folders for name in kustomize.FILE_NAMES}
        found: dict[str, bytes] = {}
        for file in sorted({*there, *names}):
            seen = there.get(file)
            if self._seen.get(file, (None, b""))[0] != seen:
                self._seen.pop(file, None)
            before, digest = self._look(file)
            if before != seen or self._stamp(file) != seen or digest in (_LINKED, _UNREADABLE):
                return None
            found[file] = digest
        return found

    def _look(self, file: str) -> _Seen:
        if file not in self._seen:
            self._seen[file] = (self._stamp(file), self._digest(file))
        return self._seen[file]

    def _stamp(self, file: str) -> kustomize.FileState | None:
        try:
            return kustomize.read_state(os.lstat(self._root / file))
        except OSError:
            return None

    def _digest(self, file: str) -> bytes:
        path = self._root / file
        if not os.path.lexists(path):
            return b""
        if os.path.realpath(path) != str(path):
            return _LINKED
        try:
            return key(safe_files.read(self._root, file))
        except (FileNotFoundError, M2gError):
            return _UNREADABLE
