"""Schemas as a table and as JSON, and the result of an import."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from m2g.core.sanitize import make_visible
from m2g.report.layout import count, encode_json, format_table, join_lines

_WIDE = 60
_HEAD = ("kind", "API version", "version", "from", "strictness")


def render_list(rows: Sequence[msgspec.Struct], form: str, width: int = 0) -> str:
    """The table of `m2g schemas list`; with `json` one object."""
    plain = [msgspec.to_builtins(row) for row in rows]
    if form == "json":
        return encode_json({"version": 1, "schemas": plain})
    return format_table([_HEAD, *(_row(item) for item in plain)], width)


def _row(item: Mapping[str, object]) -> tuple[str, ...]:
    open_parts, rules = item["openParts"], item["rules"]
    strict = f"open in {count(open_parts, 'place')}" if open_parts else "strict"
    strict += f", {count(rules, 'CEL rule')}" if rules else ""
    cells = (item["kind"], item["apiVersion"], item["version"], item["source"], strict)
    return tuple(make_visible(str(cell), _WIDE) for cell in cells)


def render_schema(data: Mapping[str, object]) -> str:
    """A JSON Schema."""
    return encode_json(data)


def render_import(outcome: msgspec.Struct, form: str) -> str:
    """The result of `m2g schemas import`: a line for each file, and below it what the schema does not check."""
    plain = msgspec.to_builtins(outcome)
    if form == "json":
        return encode_json({"version": 1, **plain})
    lines = []
    for item in plain["imported"]:
        lines.append(f"{item['change']:8} {item['file']}  {make_visible(item['kind'], 2 * _WIDE)}")
        lines += [f"         not checked: {make_visible(part, 2 * _WIDE)}" for part in item["leftOut"]]
    lines += [f"refused  {make_visible(reason, 4 * _WIDE)}" for reason in plain["refused"]]
    refused = f", {len(plain['refused'])} refused" if plain["refused"] else ""
    lines.append(f"{count(len(plain['imported']), 'schema')} imported{refused}")
    return join_lines(lines)
