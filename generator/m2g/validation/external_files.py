"""The files outside a model's folder that its overlays consist of: a cached result depends on them, too."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from m2g import kustomize
from m2g.core import safe_files
from m2g.core.cache import key
from m2g.core.errors import M2gError
from m2g.repository import layout

_LINKED, _UNREADABLE = b"linked", b"unreadable"
_Snapshot = tuple[kustomize.FileState | None, bytes]
"""The state of a file before it was read, and the digest of its content."""


class ExternalFiles:
    """Files of a repository. Each is read once, and again if it has changed."""

    def __init__(self, root: Path) -> None:
        self._root = Path(os.path.realpath(root))
        self._snapshots: dict[str, _Snapshot] = {}

    def are_unchanged(self, known: Mapping[str, bytes]) -> bool:
        """Whether each file still has its digest."""
        return all(self._read(file)[1] == digest for file, digest in known.items())

    def find(self, slug: str, built: kustomize.BuildResult) -> dict[str, bytes] | None:
        """The files of an overlay outside its model's folder, and the names that could become one, with their digests
        (empty for a missing file).

        None if the list cannot be complete: a symlink may lead elsewhere later, a plugin reads what its configuration
        names, or a file has changed since kustomize could read it.
        """
        own = f"{layout.model(slug)}/"
        external = {file: state for file, state in built.files.items() if not file.startswith(own)}
        if built.linked or (built.plugins and external):
            return None
        if any(self._stat(file) != state for file, state in built.files.items() if file not in external):
            return None
        folders = {item.file.rpartition("/")[0] for item in built.kustomizations if item.file in external}
        names = {f"{folder}/{name}" for folder in folders for name in kustomize.FILE_NAMES}
        digests: dict[str, bytes] = {}
        for file in sorted({*external, *names}):
            state = external.get(file)
            if self._snapshots.get(file, (None, b""))[0] != state:
                self._snapshots.pop(file, None)
            before, digest = self._read(file)
            if before != state or self._stat(file) != state or digest in (_LINKED, _UNREADABLE):
                return None
            digests[file] = digest
        return digests

    def _read(self, file: str) -> _Snapshot:
        if file not in self._snapshots:
            self._snapshots[file] = (self._stat(file), self._digest(file))
        return self._snapshots[file]

    def _stat(self, file: str) -> kustomize.FileState | None:
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
