"""YAML that a person wrote: plain data, and the line of every place in it.

ruamel.yaml reads it (YAML 1.2, duplicate keys are errors) and its events bound hostile input before anything is built.
It is imported where it is needed: it takes 10 ms, and mostly what people wrote is known from an earlier run.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias, cast

import msgspec

from m2g.errors import InputError
from m2g.tree import Mark, mark

if TYPE_CHECKING:
    from ruamel.yaml.comments import CommentedMap, CommentedSeq
    from ruamel.yaml.error import MarkedYAMLError

Place: TypeAlias = Sequence[str | int]
MAX_BYTES = 1 << 20
MAX_DEPTH = 64
MAX_EVENTS = 50_000
"""ruamel.yaml takes 50 µs for each: a megabyte of commas would take half a minute."""
MAX_BRACKETS = 30_000
MAX_EXPANDED = 8 << 20
_ANCHOR = re.compile(r"&([0-9A-Za-z_-]+)")
_ALIAS = re.compile(r"\*([0-9A-Za-z_-]+)")
_MAYBE_TAGGED = re.compile(r"!\S{0,40}(binary|%)|^%TAG", re.MULTILINE)
_DOCUMENT = re.compile(r"^---(?=\s|\Z)", re.MULTILINE)
_WHOLE = 1 << 63
_HALF = re.compile("[\ud800-\udfff]")


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
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

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
        sentence = (str(error).splitlines() or [repr(error)])[0]
        raise InputError(f"{file}: not valid YAML: {sentence[:200]}") from error
    except (
        TypeError,
        KeyError,
        AttributeError,
        IndexError,
    ) as error:  # ruamel.yaml's own, for keys that it cannot hash
        raise InputError(f"{file}: not valid YAML: a key is a list or a mapping", hint="keys are text") from error
    lines: dict[tuple[str | int, ...], int] = {(): 1}
    return Document(file=file, data=_plain(loaded, (), lines, file), lines=lines)


def refuse_costly(text: str) -> None:
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
        import ruamel.yaml  # the package before its parts, as everywhere: two threads could wait for each other

        try:
            size = _expanded(text)
        except (ruamel.yaml.error.YAMLError, RecursionError) as error:
            raise ValueError(str(error).splitlines()[0] if str(error) else repr(error)) from error
        if size > MAX_EXPANDED:
            raise ValueError("it has too many YAML aliases")


def _expanded(text: str) -> int:
    """How long the text would be with its aliases written out; MAX_EXPANDED + 1 where it is longer than that."""
    from ruamel.yaml import YAML
    from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, NodeEvent, ScalarEvent

    known: dict[str, int] = {}
    around: list[tuple[str | None, int]] = []
    total = 0
    for count, event in enumerate(YAML(typ="safe", pure=True).parse(text)):
        if isinstance(event, CollectionStartEvent):
            around.append((event.anchor, total))
        elif isinstance(event, CollectionEndEvent):
            anchor, before = around.pop()
            if anchor:
                known[anchor] = total - before
        elif isinstance(event, AliasEvent):
            total += known.get(event.anchor, 0)
        elif isinstance(event, ScalarEvent):
            total += len(event.value)
            if event.anchor:
                known[event.anchor] = len(event.value) + 1
        total += isinstance(event, NodeEvent)
        if total > MAX_EXPANDED or count > MAX_EVENTS:
            return MAX_EXPANDED + 1
    return total


def _bound(file: str, text: str) -> None:
    """Refuse aliases (they can explode), tags, deep nesting and too much of it before any object is built."""
    from ruamel.yaml import YAML
    from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, ScalarEvent

    depth = 0
    for count, event in enumerate(YAML(typ="safe", pure=True).parse(text)):
        place = f"{file}:{event.start_mark.line + 1}"
        if isinstance(event, AliasEvent):
            name = str(event.anchor)[:60]
            raise InputError(f"{place}: YAML aliases (*{name}) are not supported", hint="write the value out")
        if isinstance(event, ScalarEvent | CollectionStartEvent) and event.tag is not None:
            tag = str(event.tag).replace("tag:yaml.org,2002:", "!!")[:60]
            raise InputError(f"{place}: a value with a tag ({tag}) is not plain data", hint="quote it if it is text")
        if isinstance(event, CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise InputError(f"{place}: nested deeper than {MAX_DEPTH}")
        elif isinstance(event, CollectionEndEvent):
            depth -= 1
        if count > MAX_EVENTS:
            raise InputError(f"{place}: more than {MAX_EVENTS} values", hint="a file that people edit is small")


def _sentence(error: MarkedYAMLError) -> str:
    parts = [str(part).split("\n")[0] for part in (error.context, error.problem) if part]
    return ", ".join(parts) or "not valid YAML"


def _plain(node: object, place: tuple[str | int, ...], lines: dict[tuple[str | int, ...], int], file: str) -> object:
    if isinstance(node, dict):
        mapping = cast("CommentedMap", node)
        result: dict[str, object] = {}
        for key, value in mapping.items():
            line = mapping.lc.key(key)[0] + 1
            if not isinstance(key, str):
                raise InputError(f"{file}:{line}: the key {_said(key)} is not text", hint="write it in quotes")
            _whole(key, f"{file}:{line}")
            lines[(*place, str(key))] = line
            result[str(key)] = _plain(value, (*place, str(key)), lines, file)
        return result
    if isinstance(node, list):
        items = cast("CommentedSeq", node)
        for index in range(len(items)):
            lines[(*place, index)] = items.lc.item(index)[0] + 1
        return [_plain(value, (*place, index), lines, file) for index, value in enumerate(node)]
    if node is None or isinstance(node, bool):
        return node
    line = lines.get(place, 1)
    if isinstance(node, int) and not -_WHOLE <= node < _WHOLE:
        raise InputError(f"{file}:{line}: a number of more than 64 bits", hint="quote it if it is text")
    if isinstance(node, str):
        return _whole(str(node), f"{file}:{line}")
    if isinstance(node, float) and not math.isfinite(node):
        raise InputError(f"{file}:{line}: {node!s} is no number that JSON has", hint="quote it if it is text")
    for kind in (int, float):
        if isinstance(node, kind):
            return kind(node)
    raise InputError(f"{file}:{line}: {str(node)[:60]!r} is not plain data", hint="quote it if it is text")


def _whole(text: str, place: str) -> str:
    """JSON has two escapes for a character beyond U+FFFF; in YAML each is half of one, which no file can hold."""
    if _HALF.search(text):
        raise InputError(
            f"{place}: half a character ({text[:20]!r})", hint="write the character itself, or \\U and its eight digits"
        )
    return text


def _said(value: object) -> str:
    try:
        return repr(value)[:60]
    except ValueError:  # a whole number of more digits than Python writes
        return "(a huge number)"


def tagged_binary(text: str) -> bool:
    """Whether a value is in base64 behind the tag `!!binary`, however that is spelt; also where it is too long to say.

    In quotes and blocks the same word is only text.
    """
    if not _MAYBE_TAGGED.search(text):
        return False
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError
    from ruamel.yaml.tokens import DirectiveToken, TagToken

    try:
        for number, token in enumerate(YAML(pure=True).scan(text)):
            if number > MAX_EVENTS or (isinstance(token, DirectiveToken) and token.name == "TAG"):
                return True
            if isinstance(token, TagToken) and re.search("binary|%", str(token.value[1])):
                return True
    except YAMLError:
        return True
    return False
