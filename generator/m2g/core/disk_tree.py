"""Trees of files whose contents are in a temporary file, because the contents of a large fleet do not fit in memory."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterator, Mapping
from typing import IO, Generic, TypeVar

from m2g.core import tempdirs
from m2g.core.stamp import Tree

_IN_MEMORY = 64 << 10
"""Bytes to collect before they are written to the file."""
_LENGTH = 40
"""Low bits that hold a content's length; the offset is above them. One integer per file saves memory."""


_Place = TypeVar("_Place")


class _Listed(Mapping[str, bytes], Generic[_Place]):
    """A mapping whose paths are known without reading any content."""

    _places: dict[str, _Place]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, path: object) -> bool:
        return path in self._places


class DiskTree(_Listed[int]):
    """Path to content. The file is in TMPDIR, has no name, and disappears with the process."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._tail = bytearray()
        self._start = 0
        """Where the tail starts, which is the size of the file."""
        self._places: dict[str, int] = {}

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()

    def put(self, tree: Mapping[str, bytes]) -> None:
        """Add files, and replace those whose path exists. Raises OutsideError if there is no space left."""
        for path, content in tree.items():
            self._places[path] = (self._start + len(self._tail)) << _LENGTH | len(content)
            self._tail += content
        if len(self._tail) > _IN_MEMORY:
            try:
                if self._file is None:
                    self._file = tempdirs.open_file()
                self._start += _write(self._file, self._tail)
            except OSError as error:
                raise _no_space(error) from error
            self._tail.clear()

    def __getitem__(self, path: str) -> bytes:
        place = self._places[path]
        start, length = place >> _LENGTH, place & ((1 << _LENGTH) - 1)
        if self._file is None or start >= self._start:
            return bytes(self._tail[start - self._start : start - self._start + length])
        try:
            content = os.pread(self._file.fileno(), length, start)
        except OSError as error:
            raise _no_space(error) from error
        if len(content) != length:
            raise _no_space(OSError(errno.EIO, "the temporary file is shorter than expected"))
        return content


def select_paths(tree: Tree, paths: Collection[str]) -> Tree:
    """A view of some files of a tree. Every path must be in the tree, without duplicates."""
    return tree if len(paths) == len(tree) else _Part(tree, paths)


class _Part(_Listed[None]):
    def __init__(self, tree: Tree, paths: Collection[str]) -> None:
        self._tree = tree
        self._places = dict.fromkeys(paths)

    def __getitem__(self, path: str) -> bytes:
        if path not in self._places:
            raise KeyError(path)
        return self._tree[path]


def _write(file: IO[bytes], data: bytearray) -> int:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]
    return len(data)


def _no_space(error: OSError) -> tempdirs.NoSpace:
    return tempdirs.describe_no_space(error, "rendered files cannot be stored")
