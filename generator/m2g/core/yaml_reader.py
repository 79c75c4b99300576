"""Read YAML that people edit: plain data, and the line of every field.

ruamel.yaml parses it (YAML 1.2, duplicate keys are errors). Its events limit hostile input before objects are built.
All code that needs ruamel.yaml is in `m2g.core.yaml_parser`, which is imported only if there is something to parse.
"""

from __future__ import annotations

import re

import msgspec

from m2g.core.errors import InputError
from m2g.core.field_path import FieldPath
from m2g.core.stamp import StampState, check_stamp

MAX_BYTES = 1 << 20
MAX_BRACKETS = 30_000
_ANCHOR = re.compile(r"&([0-9A-Za-z_-]+)")
_ALIAS = re.compile(r"\*([0-9A-Za-z_-]+)")
_MAYBE_TAGGED = re.compile(r"!\S{0,40}(binary|%)|^%TAG", re.MULTILINE)
_DOCUMENT = re.compile(r"^---(?=\s|\Z)", re.MULTILINE)


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """`data` is plain (dict, list, scalars). `lines` maps a field path (`("spec", 0)`) to its line, starting at 1."""

    file: str
    data: object
    lines: dict[tuple[str | int, ...], int]

    def find_line(self, path: FieldPath) -> int:
        """The line of the field, or of the nearest parent that the file has."""
        key = tuple(path)
        while key and key not in self.lines:
            key = key[:-1]
        return self.lines.get(key, 1)


def read(file: str, content: bytes) -> Document:
    """Parse one YAML document. `file` is used only in messages.

    Raises InputError with file and line for anything that is not one plain YAML document.
    """
    if len(content) > MAX_BYTES:
        raise InputError(f"{file}: larger than {MAX_BYTES >> 10} KiB", hint="remove what does not belong in this file")
    if check_stamp(content) is StampState.CONFLICTED:
        raise InputError(f"{file}: contains Git's merge-conflict markers", hint=f"resolve the conflict in {file}")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not UTF-8 at byte {error.start}") from error
    from m2g.core import yaml_parser

    data, lines = yaml_parser.load(file, text)
    return Document(file=file, data=data, lines=lines)


def reject_costly(text: str) -> None:
    """Raises ValueError for text that ryaml would take minutes or all memory to parse. Call it before ryaml.

    The time of ryaml grows with the square of the open brackets, and it copies the value of every alias. Strings,
    comments and brackets end where a new document starts, so each document can be checked alone.
    """
    brackets = text.count("[") + text.count("{")
    if brackets > MAX_BRACKETS and any(
        part.count("[") + part.count("{") > MAX_BRACKETS for part in _DOCUMENT.split(text)
    ):
        raise ValueError(f"it has more than {MAX_BRACKETS} brackets in one document")
    if not set(_ANCHOR.findall(text)).isdisjoint(_ALIAS.findall(text)):
        from m2g.core import yaml_parser

        if yaml_parser.expands_too_far(text):
            raise ValueError("it has too many YAML aliases")


def has_binary(text: str) -> bool:
    """Whether a value has the tag `!!binary` in any notation. True also if the text is too long to tell.

    In quotes and block scalars, the same characters are only text.
    """
    if not _MAYBE_TAGGED.search(text):
        return False
    from m2g.core import yaml_parser

    return yaml_parser.has_binary(text)
