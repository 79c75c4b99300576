"""The ruamel.yaml part of `m2g.core.yaml_reader`. Importing ruamel.yaml takes 10 ms and is often not needed."""

from __future__ import annotations

import math
import re
from typing import TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, NodeEvent, ScalarEvent
from ruamel.yaml.parser import Parser
from ruamel.yaml.scanner import Scanner
from ruamel.yaml.tokens import DirectiveToken, TagToken

from m2g.core.errors import InputError

Lines: TypeAlias = dict[tuple[str | int, ...], int]
MAX_DEPTH = 64
MAX_EVENTS = 50_000
"""ruamel.yaml takes 50 µs for each event, so a megabyte of commas would take half a minute."""
MAX_EXPANDED = 8 << 20
_LARGEST = 1 << 63
_HALF = re.compile("[\ud800-\udfff]")


def load(file: str, text: str) -> tuple[object, Lines]:
    """The plain data of one YAML document, and the line of every field.

    Raises InputError with file and line for anything that is not one plain YAML document.
    """
    try:
        _bound(file, text)
        yaml = YAML(typ="rt")  # for the lines; its own scanner and parser fail on some comments (NotImplementedError)
        yaml.Scanner, yaml.Parser = Scanner, Parser
        yaml.composer.warn_double_anchors = False
        yaml.allow_duplicate_keys = False
        loaded = yaml.load(text)
    except MarkedYAMLError as error:
        at = error.problem_mark or error.context_mark
        where = f"{file}:{at.line + 1}" if at is not None else file
        raise InputError(f"{where}: {_sentence(error)}", hint="check the YAML syntax at this line") from error
    except (YAMLError, ValueError, OverflowError, RecursionError) as error:
        sentence = (str(error).splitlines() or [repr(error)])[0]
        raise InputError(f"{file}: not valid YAML: {sentence[:200]}") from error
    except (TypeError, KeyError, AttributeError, IndexError) as error:  # ruamel.yaml cannot hash such keys
        raise InputError(f"{file}: not valid YAML: a key is a list or a mapping", hint="use text as a key") from error
    lines: Lines = {(): 1}
    return _plain(loaded, (), lines, file), lines


def expands_too_far(text: str) -> bool:
    """Whether the text is longer than MAX_EXPANDED after its aliases are expanded. Raises ValueError for invalid
    YAML."""
    try:
        return _expanded(text) > MAX_EXPANDED
    except (YAMLError, RecursionError) as error:
        raise ValueError(str(error).splitlines()[0] if str(error) else repr(error)) from error


def _expanded(text: str) -> int:
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


def has_binary(text: str) -> bool:
    """Whether a value has the tag `!!binary` in any notation. True also if the text is too long to tell."""
    try:
        for number, token in enumerate(YAML(pure=True).scan(text)):
            if number > MAX_EVENTS or (isinstance(token, DirectiveToken) and token.name == "TAG"):
                return True
            if isinstance(token, TagToken) and re.search("binary|%", str(token.value[1])):
                return True
    except YAMLError:
        return True
    return False


def _bound(file: str, text: str) -> None:
    """Reject aliases (they can expand without limit), tags, deep nesting and huge documents before objects are
    built."""
    depth = 0
    for count, event in enumerate(YAML(typ="safe", pure=True).parse(text)):
        place = f"{file}:{event.start_mark.line + 1}"
        if isinstance(event, AliasEvent):
            name = str(event.anchor)[:60]
            raise InputError(f"{place}: YAML aliases (*{name}) are not supported", hint="repeat the value instead")
        if isinstance(event, ScalarEvent | CollectionStartEvent) and event.tag is not None:
            tag = str(event.tag).replace("tag:yaml.org,2002:", "!!")[:60]
            raise InputError(f"{place}: YAML tags ({tag}) are not supported", hint="quote the value if it is text")
        if isinstance(event, CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise InputError(f"{place}: nested more than {MAX_DEPTH} levels deep")
        elif isinstance(event, CollectionEndEvent):
            depth -= 1
        if count > MAX_EVENTS:
            raise InputError(f"{place}: more than {MAX_EVENTS} values", hint="remove what does not belong in this file")


def _sentence(error: MarkedYAMLError) -> str:
    parts = [str(part).split("\n")[0] for part in (error.context, error.problem) if part]
    return ", ".join(parts) or "not valid YAML"


def _plain(node: object, place: tuple[str | int, ...], lines: Lines, file: str) -> object:
    if isinstance(node, CommentedMap):
        if node.merge:
            raise InputError(
                f"{file}:{node.lc.line + 1}: YAML merge keys (<<) are not supported", hint="write the values out"
            )
        result: dict[str, object] = {}
        for key, value in node.items():
            line = node.lc.key(key)[0] + 1
            if not isinstance(key, str):
                raise InputError(f"{file}:{line}: the key {_shown(key)} is not text", hint="write it in quotes")
            _checked(key, f"{file}:{line}")
            lines[(*place, str(key))] = line
            result[str(key)] = _plain(value, (*place, str(key)), lines, file)
        return result
    if isinstance(node, CommentedSeq):
        for index in range(len(node)):
            lines[(*place, index)] = node.lc.item(index)[0] + 1
        return [_plain(value, (*place, index), lines, file) for index, value in enumerate(node)]
    if node is None or isinstance(node, bool):
        return node
    line = lines.get(place, 1)
    if isinstance(node, int) and not -_LARGEST <= node < _LARGEST:
        raise InputError(f"{file}:{line}: a number with more than 64 bits", hint="quote it if it is text")
    if isinstance(node, str):
        return _checked(str(node), f"{file}:{line}")
    if isinstance(node, float) and not math.isfinite(node):
        raise InputError(f"{file}:{line}: {node!s} is not a finite number", hint="quote it if it is text")
    for kind in (int, float):
        if isinstance(node, kind):
            return kind(node)
    raise InputError(f"{file}:{line}: {str(node)[:60]!r} is not plain data", hint="quote it if it is text")


def _checked(text: str, place: str) -> str:
    """Reject lone surrogates. JSON escapes a character beyond U+FFFF as two; in YAML each of them is a character of its
    own that UTF-8 cannot encode."""
    if _HALF.search(text):
        raise InputError(
            f"{place}: half of a surrogate pair ({text[:20]!r})",
            hint="write the character itself, or \\U and its eight hex digits",
        )
    return text


def _shown(value: object) -> str:
    try:
        return repr(value)[:60]
    except ValueError:  # an integer with more digits than Python prints
        return "(a huge number)"
