"""Turn one edit of a YAML file into splices of its text, in the style that the file has."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from m2g.core.yaml_writer import Plain, write_flow, write_key, write_scalar
from m2g.repository.yaml_positions import BREAKS, Entry, Node, YamlText

Splice: TypeAlias = tuple[int, int, str]
"""(start, end, new): replace `text[start:end]` with `new`."""
_Path: TypeAlias = tuple[str | int, ...]
_DOCUMENT_END = re.compile(r"^\.\.\.(?=\s|\Z)", re.MULTILINE)


def set_value(source: YamlText, path: _Path, value: Plain) -> list[Splice]:
    """Set a field or a list item, and create missing mappings on its path."""
    trail = _follow(source, path)
    rest = path[len(trail) :]
    if source.root is None or (not trail and (source.root.kind == "scalar" or _is_blank(source, source.root))):
        return _fill_empty(source, _nest(rest, value))
    node = trail[-1].node if trail else source.root
    if rest and node.kind == "mapping" and not _is_blank(source, node):
        return _append(source, node, str(rest[0]), _nest(rest[1:], value))
    around = trail[-2].node if len(trail) > 1 else source.root
    return _replace(source, around, trail[-1], _nest(rest, value))


def add_item(source: YamlText, path: _Path, value: Plain) -> list[Splice]:
    """Add an item at the end of a list that is not empty."""
    return _append(source, _follow(source, path)[-1].node, None, value)


def remove(source: YamlText, path: _Path) -> list[Splice]:
    """Remove a field or a list item; its mapping or list stays."""
    trail = _follow(source, path)
    if source.root is None or len(trail) < len(path):
        return []
    around = trail[-2].node if len(trail) > 1 else source.root
    if around.flow:
        return _cut_from_flow(source, around, trail[-1])
    cut = _cut(source, around, trail[-1])
    if len(around.entries) > 1 or len(trail) == 1:
        return [cut]
    empty = "{}" if around.kind == "mapping" else "[]"
    if source.is_first(around.start):
        return [(around.head, around.head, f" {empty}"), cut]
    return [(around.start, around.end, empty)]


def _follow(source: YamlText, path: _Path) -> list[Entry]:
    """The entries on `path`, as far as the file has them."""
    found: list[Entry] = []
    node = source.root
    for step in path:
        if node is None:
            break
        if isinstance(step, int):
            entry = node.entries[step] if node.kind == "sequence" and step < len(node.entries) else None
        else:
            named = (entry for entry in node.entries if node.kind == "mapping" and entry.key == step)
            entry = next(named, None)
        if entry is None:
            break
        found.append(entry)
        node = entry.node
    return found


def _nest(path: _Path, value: Plain) -> Plain:
    for step in reversed(path):
        value = {str(step): value}
    return value


def _fill_empty(source: YamlText, value: Plain) -> list[Splice]:
    """Write the first fields of a file that is empty or has nothing but comments, `null` or `{}`."""
    text, root = source.text, source.root
    new_line = source.line_break(len(text))
    lines = _write_block(value, source.indents())
    if root is not None:
        end = source.line_end(root.end)
        first = lines.pop(0) if source.is_first(root.start) else ""
        return [(root.start, root.end, first), (end, end, "".join(new_line + line for line in lines))]
    stop = _DOCUMENT_END.search(text)
    at = stop.start() if stop else len(text)
    body = new_line.join(lines)
    if text[:at] in ("", "\ufeff") or text[at - 1] in BREAKS:
        return [(at, at, body + new_line)]
    return [(at, at, new_line + body)]


def _replace(source: YamlText, around: Node, entry: Entry, value: Plain) -> list[Splice]:
    """Replace the value of an entry. Flow style stays, but `{}` and `[]` become block style."""
    node = entry.node
    start, end, stop = node.start, node.end, 0
    if node.literal:  # a comment after its header stays
        end, stop = start + node.literal, node.end
    elif node.block and source.is_first(start):  # it starts below its key or dash
        start = end = node.head
        stop = source.entry_end(entry)
    line_end = source.line_end(end)
    if around.flow or _is_inline(value) or (node.flow and not _is_blank(source, node)):
        new = write_flow(value) if around.flow or not _is_inline(value) else write_scalar(value)
        if start == end:
            new = f"{'' if entry.colon else ':'} {new}"
        return [(start, end, new), (line_end, max(line_end, stop), "")]
    lines = _write_block(value, source.indents())
    column = source.column(entry.start)
    if around.kind == "mapping" and not (start < end and source.is_first(start)):
        start, first = node.head, ""
        column += source.indents()[not isinstance(value, Mapping)]
    elif start == end:
        first = f" {lines.pop(0)}"
        column += 2
    else:
        first = lines.pop(0)
        column = source.column(start)
    below = _write_below(source, line_end, column, lines)
    return [(start, end, first), (line_end, max(line_end, stop), below)]


def _append(source: YamlText, node: Node, key: str | None, value: Plain) -> list[Splice]:
    """Add a field, or an item if `key` is None, after the last one."""
    if node.flow:
        return _append_to_flow(source, node, write_flow(value) if key is None else write_flow({key: value})[1:-1])
    last = node.entries[-1]
    end = source.entry_end(last)
    indents = source.indents()
    lines = _write_item(value, indents) if key is None else _write_field(key, value, indents)
    return [(end, end, _write_below(source, end, source.column(last.start), lines))]


def _append_to_flow(source: YamlText, node: Node, new: str) -> list[Splice]:
    if not node.entries:
        return [(node.start + 1, node.start + 1, new)]
    last = node.entries[-1]
    end, comma, after = _find_comma(source, last)
    separator = ","
    if source.text[end - 1] == ":":  # `key:,` would be one word
        end, separator = (end + 1, ",") if source.text.startswith(" ", end) else (end, " ,")
    if not _has_own_lines(source, last, after):
        return [(end, end, f"{separator} {new}")]
    line_end = source.line_end(after)
    below = _write_below(source, line_end, source.column(last.start), [new + ("," if comma else "")])
    return [*([] if comma else [(end, end, separator)]), (line_end, line_end, below)]


def _cut(source: YamlText, around: Node, entry: Entry) -> Splice:
    """Remove an entry in block style with its lines."""
    text, start, end = source.text, entry.start, source.entry_end(entry)
    if source.is_first(start):
        begin, stop = source.line_start(start), source.next_line(end)
        if end == len(text) and text[begin - 1 : begin] in tuple(BREAKS):  # keep a missing line break at the end
            begin -= 2 if text[:begin].endswith("\r\n") else 1
        return begin, stop, ""
    following = next((other for other in around.entries if other.start > start), None)
    if following is not None and not text[end : following.start].strip(f" {BREAKS}"):
        return start, following.start, ""
    return len(text[:start].rstrip(" ")), end, ""


def _cut_from_flow(source: YamlText, around: Node, entry: Entry) -> list[Splice]:
    """Remove an entry in flow style with its comma. The last entry without one takes the comma before it."""
    if around.pair:
        return [(around.start, around.end, "{}")]
    text, start, index = source.text, entry.start, around.entries.index(entry)
    end, comma, after = _find_comma(source, entry)
    before = _find_comma(source, around.entries[index - 1])[2] if index else start
    last_comma = [(before - 1, before, "")] if index and not comma else []
    if _has_own_lines(source, entry, after):
        return [*last_comma, (source.line_start(start), source.next_line(after), "")]
    if entry is not around.entries[-1]:
        while text[after] in " \t" and text[after + 1] not in f"#{BREAKS}":
            after += 1
    elif index and not text[before:start].strip(" \t"):
        return [(before - 1, end, "")]
    return [*last_comma, (start, after, "")]


def _find_comma(source: YamlText, entry: Entry) -> tuple[int, bool, int]:
    """The end of an entry in flow style, whether a comma follows, and the end after that comma."""
    end = entry.node.end
    at = source.skip(end)
    comma = source.text.startswith(",", at)
    return end, comma, at + 1 if comma else end


def _has_own_lines(source: YamlText, entry: Entry, after: int) -> bool:
    """Whether an entry in flow style, up to `after`, shares its lines with nothing but comments."""
    rest = source.text[after : source.line_end(after)]
    return source.is_first(entry.start) and (not rest.strip(" \t") or rest.lstrip(" \t")[0] == "#")


def _write_below(source: YamlText, position: int, column: int, lines: Sequence[str]) -> str:
    """Lines to insert at `position`, the end of a line."""
    return "".join(f"{source.line_break(position)}{' ' * column}{line}" for line in lines)


def _write_block(value: Plain, indents: tuple[int, int]) -> list[str]:
    """The lines of a non-empty mapping or list in block style."""
    if isinstance(value, Mapping):
        return [line for key, item in value.items() for line in _write_field(key, item, indents)]
    items = value if isinstance(value, Sequence) else ()
    return [line for item in items for line in _write_item(item, indents)]


def _write_field(key: str, value: Plain, indents: tuple[int, int]) -> list[str]:
    head = f"{write_key(key)}:"
    if _is_inline(value):
        return [f"{head} {write_scalar(value)}"]
    indent = " " * indents[not isinstance(value, Mapping)]
    return [head, *(f"{indent}{line}" for line in _write_block(value, indents))]


def _write_item(value: Plain, indents: tuple[int, int]) -> list[str]:
    if _is_inline(value):
        return [f"- {write_scalar(value)}"]
    first, *more = _write_block(value, indents)
    return [f"- {first}", *(f"  {line}" for line in more)]


def _is_inline(value: Plain) -> bool:
    """Whether it takes one line in block style: a scalar, `{}` or `[]`."""
    return isinstance(value, str | int | float | None) or not value


def _is_blank(source: YamlText, node: Node) -> bool:
    """Whether it is `{}` or `[]` without a comment inside."""
    return node.flow and not node.entries and not source.text[node.start + 1 : node.end - 1].strip(f" \t{BREAKS}")
