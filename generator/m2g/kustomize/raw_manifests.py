"""YAML files that are applied as they are, such as platform/ and fleet/: their objects and the lines of these."""

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
    """One file. `objects` are its documents that say anything; `error` says why it cannot be read."""

    file: str
    content: bytes = b""
    objects: tuple[object, ...] = ()
    error: str = ""
    line: int = 0

    def find_line(self, index: int, place: FieldPath) -> int:
        """The line of a place in an object; 0 where it cannot be told. Slow: for what is reported only."""
        chunks = [chunk for chunk in _chunks(self.content) if _says_anything(chunk)]
        try:
            return yaml_reader.read(self.file, chunks[index]).find_line(place)
        except (InputError, IndexError):
            return 0


def read_folder(root: Path, folder: str, wanted: Callable[[str], bool] = lambda file: True) -> list[RawFile]:
    """Every YAML file below a folder of the repository, sorted, if it is `wanted`; no link is followed outside."""
    found: list[RawFile] = []
    for place, folders, names in os.walk(root / folder):
        folders.sort()
        found.extend(
            read_file(root, Path(place, name).relative_to(root).as_posix())
            for name in sorted(names)
            if name.endswith((".yaml", ".yml")) and wanted(Path(place, name).relative_to(root).as_posix())
        )
    return found


def read_file(root: Path, file: str) -> RawFile:
    """One file of the repository; never raises for what is wrong in it."""
    try:
        content = safe_files.read(root, file, limit=MAX_BYTES)
        objects = read_all(content.decode())
    except FileNotFoundError:
        return RawFile(file=file, error="is a link to nothing")
    except M2gError as error:
        return RawFile(file=file, error=error.message.removeprefix(f"{file} "))
    except ValueError as error:
        found = _LINE.search(str(error))
        return RawFile(file=file, error=f"is not valid YAML: {error}", line=int(found[1]) if found else 0)
    return RawFile(file=file, content=content, objects=tuple(item for item in objects if item is not None))


def _chunks(content: bytes) -> Iterator[bytes]:
    """The documents of a stream, each with as many empty lines before it as it has lines before it."""
    starts = [0, *(found.end() for found in _SEPARATOR.finditer(content))]
    for start, end in zip(starts, [*starts[1:], len(content)], strict=True):
        yield b"\n" * content.count(b"\n", 0, start) + content[start:end].removesuffix(b"---")


def _says_anything(chunk: bytes) -> bool:
    return any(line.strip() and not line.lstrip().startswith(b"#") for line in chunk.splitlines())
