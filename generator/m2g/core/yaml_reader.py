"""YAML that a person wrote: plain data, and the line of every place in it.

ruamel.yaml reads it (YAML 1.2, duplicate keys are errors) and its events bound hostile input before anything is built.
What needs it lies in `m2g.core.yaml_parser`, which is imported where there is something to parse.
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
    """`data` is plain (dict, list, scalars); `lines` maps a place (`("spec", 0)`) to its line from 1."""

    file: str
    data: object
    lines: dict[tuple[str | int, ...], int]

    def find_line(self, place: FieldPath) -> int:
        """The line of `place`, or of the nearest place around it that the file has."""
        key = tuple(place)
        while key and key not in self.lines:
            key = key[:-1]
        return self.lines.get(key, 1)


def read(file: str, content: bytes) -> Document:
    """Parse one YAML document. `file` is only used in messages.

    Raises InputError that names file and line for anything that is not one plain YAML document.
    """
    if len(content) > MAX_BYTES:
        raise InputError(f"{file}: larger than {MAX_BYTES >> 10} KiB", hint="a file that people edit is small")
    if check_stamp(content) is StampState.CONFLICTED:
        raise InputError(f"{file}: contains Git's merge-conflict markers", hint="resolve the merge first")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not UTF-8 at byte {error.start}") from error
    from m2g.core import yaml_parser

    data, lines = yaml_parser.load(file, text)
    return Document(file=file, data=data, lines=lines)


def reject_costly(text: str) -> None:
    """Raises ValueError for what ryaml would take minutes or all memory to read; call it before ryaml.

    Its time goes with the square of the brackets that are open at once, and it copies what an alias stands for. No
    string, comment or bracket goes past the line that begins a document, so that each can be judged alone.
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
    """Whether a value is in base64 behind the tag `!!binary`, however that is spelt; also where it is too long to say.

    In quotes and blocks the same word is only text.
    """
    if not _MAYBE_TAGGED.search(text):
        return False
    from m2g.core import yaml_parser

    return yaml_parser.has_binary(text)
