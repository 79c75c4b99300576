"""YAML that a person wrote: plain data, and the line of every place in it.

ruamel.yaml reads it (YAML 1.2, duplicate keys are errors) and its events bound hostile input before anything is built.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from m2g.errors import InputError
from m2g.tree import Mark, mark

Place: TypeAlias = Sequence[str | int]
MAX_BYTES = 1 << 20
MAX_DEPTH = 64


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """`data` is plain (dict, list, scalars); `lines` maps a place (`("spec", 0)`) to its line from 1."""

    file: str
    data: object
    lines: dict[tuple[str | int, ...], int]

    def line(self, place: Place) -> int:
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
    if mark(content) is Mark.CONFLICTED:
        raise InputError(f"{file}: contains Git's merge-conflict markers", hint="resolve the merge first")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not UTF-8 at byte {error.start}") from error
    try:
        _bound(file, text)
        yaml = YAML(typ="rt")
        yaml.allow_duplicate_keys = False
        loaded = yaml.load(text)
    except MarkedYAMLError as error:
        at = error.problem_mark or error.context_mark
        where = f"{file}:{at.line + 1}" if at is not None else file
        raise InputError(f"{where}: {_sentence(error)}", hint="see the YAML syntax at that line") from error
    except (YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise InputError(f"{file}: not valid YAML: {str(error).splitlines()[0] if str(error) else error!r}") from error
    lines: dict[tuple[str | int, ...], int] = {(): 1}
    return Document(file=file, data=_plain(loaded, (), lines, file), lines=lines)


def _bound(file: str, text: str) -> None:
    """Refuse aliases (they can explode) and deep nesting before any object is built."""
    from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent

    depth = 0
    for event in YAML(typ="safe", pure=True).parse(text):
        if isinstance(event, AliasEvent):
            raise InputError(
                f"{file}:{event.start_mark.line + 1}: YAML aliases (*{event.anchor}) are not supported",
                hint="write the value out",
            )
        if isinstance(event, CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise InputError(f"{file}:{event.start_mark.line + 1}: nested deeper than {MAX_DEPTH}")
        elif isinstance(event, CollectionEndEvent):
            depth -= 1


def _sentence(error: MarkedYAMLError) -> str:
    parts = [str(part).split("\n")[0] for part in (error.context, error.problem) if part]
    return ", ".join(parts) or "not valid YAML"


def _plain(node: object, place: tuple[str | int, ...], lines: dict[tuple[str | int, ...], int], file: str) -> object:
    if isinstance(node, CommentedMap):
        result: dict[str, object] = {}
        for key, value in node.items():
            line = node.lc.key(key)[0] + 1
            if not isinstance(key, str):
                raise InputError(f"{file}:{line}: the key {key!r} is not text", hint=f'quote it: "{key}"')
            lines[(*place, str(key))] = line
            result[str(key)] = _plain(value, (*place, str(key)), lines, file)
        return result
    if isinstance(node, CommentedSeq):
        for index in range(len(node)):
            lines[(*place, index)] = node.lc.item(index)[0] + 1
        return [_plain(value, (*place, index), lines, file) for index, value in enumerate(node)]
    if node is None or isinstance(node, bool):
        return node
    for kind in (int, float, str):
        if isinstance(node, kind):
            return kind(node)
    line = lines.get(place, 1)
    raise InputError(f"{file}:{line}: {str(node)[:60]!r} is not plain data", hint="quote it if it is text")
