"""Read YAML files that are applied as they are, such as those in platform/ and fleet/."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from m2g.core import safe_files, yaml_reader
from m2g.core.errors import InputError, M2gError
from m2g.core.field_path import FieldPath
from m2g.core.manifest import read_all
from m2g.core.yaml_reader import MAX_BYTES

_SEPARATOR = re.compile(rb"^---(?=[ \t\r\n]|\Z)", re.MULTILINE)
_LINE = re.compile(r"at line ([0-9]+)")


class RawFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file. `objects` are its documents that are not empty; `error` says why it cannot be read."""

    file: str
    content: bytes = b""
    objects: tuple[object, ...] = ()
    error: str = ""
    line: int = 0

    def find_line(self, index: int, path: FieldPath) -> int:
        """The line of a field in an object; 0 if unknown. Slow, so use it only for findings."""
        chunks = [chunk for chunk in _split_documents(self.content) if _has_content(chunk)]
        try:
            return yaml_reader.read(self.file, chunks[index]).find_line(path)
        except (InputError, IndexError):
            return 0


def read_folder(root: Path, folder: str, wanted: Callable[[str], bool] = lambda file: True) -> list[RawFile]:
    """All YAML files below a folder that are `wanted`, sorted. Symlinks out of the repository are not followed."""
    files: list[RawFile] = []
    for place, folders, names in os.walk(root / folder):
        folders.sort()
        files.extend(
            read_file(root, Path(place, name).relative_to(root).as_posix())
            for name in sorted(names)
            if name.endswith((".yaml", ".yml")) and wanted(Path(place, name).relative_to(root).as_posix())
        )
    return files


def read_file(root: Path, file: str) -> RawFile:
    """Read one file. Problems become its `error`."""
    try:
        content = safe_files.read(root, file, limit=MAX_BYTES)
        objects = read_all(content.decode())
    except FileNotFoundError:
        return RawFile(file=file, error="is a broken symlink")
    except M2gError as error:
        return RawFile(file=file, error=error.message.removeprefix(f"{file} "))
    except ValueError as error:
        match = _LINE.search(str(error))
        return RawFile(file=file, error=f"is not valid YAML: {error}", line=int(match[1]) if match else 0)
    return RawFile(file=file, content=content, objects=tuple(item for item in objects if item is not None))


def _split_documents(content: bytes) -> Iterator[bytes]:
    """The documents of a stream. Empty lines before each keep its line numbers."""
    starts = [0, *(match.end() for match in _SEPARATOR.finditer(content))]
    for start, end in zip(starts, [*starts[1:], len(content)], strict=True):
        yield b"\n" * content.count(b"\n", 0, start) + content[start:end].removesuffix(b"---")


def _has_content(chunk: bytes) -> bool:
    return any(line.strip() and not line.lstrip().startswith(b"#") for line in chunk.splitlines())
