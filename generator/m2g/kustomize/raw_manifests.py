"""Read YAML files that are applied as they are, such as those in platform/ and fleet/."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from m2g.core import safe_files, yaml_reader
from m2g.core.errors import InputError, M2gError
from m2g.core.field_path import FieldPath
from m2g.core.manifest import get_at, read_all
from m2g.core.yaml_reader import MAX_BYTES

_SEPARATOR = re.compile(rb"^---(?=[ \t\r\n]|\Z)", re.MULTILINE)
_LINE = re.compile(r"at line ([0-9]+)")


class RawFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file or stream. `error` says why it cannot be read.

    `objects` are its documents that are not empty, with the items of a `List` in its place. `places` tells where each
    stands: the number of the document, and the path inside it.
    """

    file: str
    content: bytes = b""
    objects: tuple[object, ...] = ()
    places: tuple[tuple[int, FieldPath], ...] = ()
    error: str = ""
    line: int = 0

    def find_line(self, index: int, path: FieldPath) -> int:
        """The line of a field in an object; 0 if unknown. Slow, so use it only for findings."""
        number, before = self.places[index]
        try:
            return _read_document(self.file, _list_documents(self.content)[number]).find_line([*before, *path])
        except (InputError, IndexError):
            return 0


def read_folder(root: Path, folder: str, wanted: Callable[[str], bool] = lambda file: True) -> list[RawFile]:
    """All files below a folder that `kubectl apply -f` takes and that are `wanted`, sorted.

    Symlinks out of the repository are not followed.
    """
    files: list[RawFile] = []
    for place, folders, names in os.walk(root / folder):
        folders.sort()
        files.extend(
            read_file(root, Path(place, name).relative_to(root).as_posix())
            for name in sorted(names)
            if name.endswith((".yaml", ".yml", ".json")) and wanted(Path(place, name).relative_to(root).as_posix())
        )
    return files


def read_file(root: Path, file: str) -> RawFile:
    """Read one file. Problems become its `error`."""
    try:
        return parse_stream(file, safe_files.read(root, file, limit=MAX_BYTES))
    except FileNotFoundError:
        return RawFile(file=file, error="is a broken symlink")
    except M2gError as error:
        return RawFile(file=file, error=error.message.removeprefix(f"{file} "))


def parse_stream(file: str, content: bytes) -> RawFile:
    """The objects of a stream of YAML documents. `file` is used only in messages; problems become its `error`."""
    try:
        documents = [document for document in read_all(content.decode()) if document is not None]
    except ValueError as error:
        match = _LINE.search(str(error))
        return RawFile(file=file, error=f"is not valid YAML: {error}", line=int(match[1]) if match else 0)
    found = [
        (item, (number, path)) for number, document in enumerate(documents) for item, path in _expand_list(document)
    ]
    return RawFile(
        file=file, content=content, objects=tuple(item for item, _ in found), places=tuple(place for _, place in found)
    )


def _expand_list(document: object) -> Iterator[tuple[object, FieldPath]]:
    """The items of a `List`, as `kubectl get` writes it, or the document itself."""
    items = get_at(document, "items")
    if get_at(document, "apiVersion") == "v1" and get_at(document, "kind") == "List" and isinstance(items, list):
        yield from ((item, ("items", number)) for number, item in enumerate(items))
    else:
        yield document, ()


@functools.lru_cache(maxsize=1)
def _list_documents(content: bytes) -> tuple[bytes, ...]:
    return tuple(chunk for chunk in _split_documents(content) if _has_content(chunk))


@functools.lru_cache(maxsize=1)
def _read_document(file: str, content: bytes) -> yaml_reader.Document:
    return yaml_reader.read(file, content)


def _split_documents(content: bytes) -> Iterator[bytes]:
    """The documents of a stream. Empty lines before each keep its line numbers."""
    starts = [0, *(match.end() for match in _SEPARATOR.finditer(content))]
    for start, end in zip(starts, [*starts[1:], len(content)], strict=True):
        yield b"\n" * content.count(b"\n", 0, start) + content[start:end].removesuffix(b"---")


def _has_content(chunk: bytes) -> bool:
    return any(line.strip() and not line.lstrip().startswith(b"#") for line in chunk.splitlines())
