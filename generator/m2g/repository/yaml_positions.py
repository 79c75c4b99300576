"""The exact position of every key and value in a YAML text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

BREAKS = "\n\r\x85"
_ANCHOR = re.compile(r"&[^\s,\[\]{}]*")
_GAP = re.compile(f"(?:[ \t{BREAKS}\ufeff]+|#[^{BREAKS}]*)*")
"""What may stand between two tokens: spaces, line breaks and comments."""
_HEADER = re.compile("[|>][-+0-9]*")
_BREAK = re.compile(f"\r\n|[{BREAKS}]")


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A value, `text[start:end]`, without its anchor, the comments after it and its last line break.

    `head` is the position after the indicator (`:`, `-`) and the anchor. A value that is left out (`key:`) starts and
    ends there. `flow` means flow style (`{a: 1}`), `pair` a mapping without braces (`[a: 1]`). `literal` is the length
    of the header (`|-`) of a literal or folded text, and 0 for all other values.
    """

    kind: Literal["mapping", "sequence", "scalar"]
    head: int
    start: int
    end: int
    flow: bool = False
    pair: bool = False
    literal: int = 0
    entries: tuple[Entry, ...] = ()

    @property
    def block(self) -> bool:
        """Whether it is a mapping or a list in block style."""
        return self.kind != "scalar" and not self.flow


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A field or a list item (`key` is empty), from its key, `-` or `?` at `start`. `colon`: the key has a `:`."""

    key: str
    start: int
    node: Node
    colon: bool = True


class YamlText(msgspec.Struct, frozen=True, kw_only=True):
    """A text and the positions in it. `root` is None if it has no value."""

    text: str
    root: Node | None

    def line_start(self, position: int) -> int:
        """The start of the line, after a byte order mark."""
        start = 0
        for end in BREAKS:
            start = max(start, self.text.rfind(end, start, position) + 1)
        return start + (start == 0 and self.text.startswith("\ufeff"))

    def line_end(self, position: int) -> int:
        """The end of the line, before its line break."""
        found = _BREAK.search(self.text, position)
        return found.start() if found else len(self.text)

    def line_break(self, position: int) -> str:
        """The line break at `position`, or the first one of the text if there is none."""
        found = _BREAK.match(self.text, position) or _BREAK.search(self.text)
        return found[0] if found else "\n"

    def next_line(self, position: int) -> int:
        """The start of the next line."""
        found = _BREAK.search(self.text, position)
        return found.end() if found else len(self.text)

    def column(self, position: int) -> int:
        """The number of characters before `position` in its line."""
        return position - self.line_start(position)

    def is_first(self, position: int) -> bool:
        """Whether only spaces are before `position` in its line."""
        return not self.text[self.line_start(position) : position].strip(" ")

    def skip(self, position: int) -> int:
        """The position after spaces, comments and line breaks."""
        return _match_end(_GAP, self.text, position)

    def entry_end(self, entry: Entry) -> int:
        """The end of the last line of an entry in block style, with the comments below it that are indented deeper."""
        column = self.column(entry.start)
        end = self.line_end(entry.node.end)
        line = self.next_line(end)
        while line < len(self.text):
            stop = self.line_end(line)
            words = self.text[line:stop].lstrip(" \t")
            if words and (words[0] != "#" or stop - line - len(words) <= column):
                break
            if words:
                end = stop
            line = self.next_line(stop)
        return end

    def indents(self) -> tuple[int, int]:
        """How many columns this text indents a mapping and a list below their key, judged by the first of each."""
        found = {"mapping": 2, "sequence": 0}
        seen: set[str] = set()
        for entry in _walk(self.root) if self.root else ():
            node = entry.node
            if entry.key and node.block and node.kind not in seen:
                seen.add(node.kind)
                found[node.kind] = self.column(node.start) - self.column(entry.start)
        return found["mapping"], found["sequence"]


def locate(text: str) -> YamlText:
    """Find all positions in a text that `m2g.core.yaml_reader` accepts: without aliases or tags, and not deep."""
    yaml = YAML(typ="safe", pure=True)
    yaml.composer.warn_double_anchors = False
    found = yaml.compose(text)
    source = YamlText(text=text, root=None)
    if found is None or _is_empty(found):
        return source
    return YamlText(text=text, root=_read_node(source, found, found.start_mark.index))


def _read_node(source: YamlText, node: ScalarNode | MappingNode | SequenceNode, head: int) -> Node:
    text, start, end = source.text, node.start_mark.index, node.end_mark.index
    if node.anchor is not None:
        head = _match_end(_ANCHOR, text, start)
        start = source.skip(head)
    if isinstance(node, ScalarNode):
        if node.style in ("|", ">"):
            header = _match_end(_HEADER, text, start)
            end = _find_text_end(source, start, header, end)
            return Node(kind="scalar", head=head, start=start, end=end, literal=header - start)
        if _is_empty(node):
            start = end = head
        return Node(kind="scalar", head=head, start=start, end=end)
    flow = bool(node.flow_style)
    if isinstance(node, MappingNode):
        entries = tuple(_read_pairs(source, node))
        pair = flow and text[start] != "{"
        kind: Literal["mapping", "sequence"] = "mapping"
    else:
        entries = tuple(_read_items(source, node, start))
        pair, kind = False, "sequence"
    if entries and (pair or not flow):
        end = entries[-1].node.end
    return Node(kind=kind, head=head, start=start, end=end, flow=flow, pair=pair, entries=entries)


def _read_pairs(source: YamlText, node: MappingNode) -> Iterator[Entry]:
    for key, value in node.value:
        begin = key.start_mark.index
        name = _read_node(source, key, begin)
        mark = begin - 1
        while mark > 0 and source.text[mark] in " \t":
            mark -= 1
        if mark >= 0 and source.text[mark] == "?":  # an explicit key (`? a`)
            begin = mark
        at = source.skip(name.end)
        colon = source.text.startswith(":", at)
        yield Entry(
            key=key.value if isinstance(key, ScalarNode) else "",
            start=begin,
            node=_read_node(source, value, at + 1 if colon else name.end),
            colon=colon,
        )


def _read_items(source: YamlText, node: SequenceNode, start: int) -> Iterator[Entry]:
    end = start
    for item in node.value:
        begin = item.start_mark.index if node.flow_style else source.skip(end)  # at the dash
        found = _read_node(source, item, begin if node.flow_style else begin + 1)
        yield Entry(key="", start=begin, node=found)
        end = found.end


def _is_empty(node: object) -> bool:
    return isinstance(node, ScalarNode) and node.style is None and not node.value


def _find_text_end(source: YamlText, start: int, header: int, end: int) -> int:
    """The end of a literal text before its last line break. Empty lines at its end belong to it only with `+`."""
    content = source.text[header:end]
    if "+" in source.text[start:header]:
        stop = header + len(content.removesuffix("\n").removesuffix("\r"))
    else:
        stop = header + len(content.rstrip(BREAKS))
    return max(stop, source.line_end(header))


def _walk(node: Node) -> Iterator[Entry]:
    for entry in node.entries:
        yield entry
        yield from _walk(entry.node)


def _match_end(pattern: re.Pattern[str], text: str, position: int) -> int:
    found = pattern.match(text, position)
    return found.end() if found else position
