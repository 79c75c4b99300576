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
_GLUED = re.compile(rb"^---[^ \t\r\n]", re.MULTILINE)
"""kubectl splits a file here, and YAML does not."""
_LINE = re.compile(r"at line ([0-9]+)")
_MAX_DOCUMENTS = 10_000
"""In one file or stream. A megabyte could hold 90,000, each with findings."""


class RawFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file or stream. `error` says why it cannot be read.

    `objects` are its documents that are not empty, with the items of a list in its place. `places` tells where each
    stands: the number of the document, and the path inside it.
    """

    file: str
    content: bytes = b""
    objects: tuple[object, ...] = ()
    places: tuple[tuple[int, FieldPath], ...] = ()
    error: str = ""
    line: int = 0

    def find_line(self, index: int, path: FieldPath) -> int:
        """The line of a field in an object, or of the nearest parent that the file has; 0 if unknown.

        Slow for fields, so use it only for findings.
        """
        number, before = self.places[index]
        where = [*before, *path]
        try:
            first, lines_before, text = _list_documents(self.content)[number]
            line = _read_document(self.file, text).find_line(where) if where else 1
        except (InputError, IndexError):
            return 0
        return max(first, lines_before + line)


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
    if glued := _GLUED.search(content):
        line = content.count(b"\n", 0, glued.start()) + 1
        why = "has --- with text after it, where kubectl begins another document and other readers do not"
        return RawFile(file=file, error=why, line=line)
    if len(documents) > _MAX_DOCUMENTS:
        return RawFile(
            file=file, error=f"has {len(documents)} documents; m2g reads at most {_MAX_DOCUMENTS} of one file"
        )
    found = [
        (item, (number, path)) for number, document in enumerate(documents) for item, path in expand_list(document)
    ]
    if any(_has_merge_key(item) for item, _ in found):
        return RawFile(file=file, error="has a YAML merge key (<<), which Kubernetes follows and other readers do not")
    return RawFile(
        file=file, content=content, objects=tuple(item for item, _ in found), places=tuple(place for _, place in found)
    )


def _has_merge_key(item: object) -> bool:
    waiting = [item]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            if "<<" in found:
                return True
            waiting += found.values()
        elif isinstance(found, list):
            waiting += found
    return False


def expand_list(document: object) -> Iterator[tuple[object, FieldPath]]:
    """The items of a list, as `kubectl get` writes it, or the document itself.

    Kubernetes takes every object with `items` for a list, whatever its kind is, and gives items without a kind that of
    the list. Source: apimachinery pkg/apis/meta/v1/unstructured/unstructured.go.
    """
    waiting: list[tuple[object, tuple[str | int, ...]]] = [(document, ())]
    while waiting:
        found, where = waiting.pop()
        items = get_at(found, "items")
        if not isinstance(found, dict) or not isinstance(items, list) or not items:
            yield found, where
            continue
        kind = {"apiVersion": found.get("apiVersion"), "kind": str(found.get("kind")).removesuffix("List")}
        named = ({**kind, **item} if isinstance(item, dict) and kind["kind"] else item for item in items)
        waiting += reversed([(item, (*where, "items", number)) for number, item in enumerate(named)])


@functools.lru_cache(maxsize=1)
def _list_documents(content: bytes) -> tuple[tuple[int, int, bytes], ...]:
    """The documents that are not empty: the first line with content, the number of lines before the text, the text."""
    starts = [0, *(match.end() for match in _SEPARATOR.finditer(content))]
    documents = []
    before = 0
    for start, end in zip(starts, [*starts[1:], len(content)], strict=True):
        text = content[start:end].removesuffix(b"---")
        first = next((number for number, line in enumerate(text.splitlines(), 1) if _has_content(line)), 0)
        if first:
            documents.append((before + first, before, text))
        before += content.count(b"\n", start, end)
    return tuple(documents)


@functools.lru_cache(maxsize=1)
def _read_document(file: str, content: bytes) -> yaml_reader.Document:
    return yaml_reader.read(file, content)


def _has_content(line: bytes) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith(b"#")
