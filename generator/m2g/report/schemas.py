"""Schemas as a table, as JSON, and what an import did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from m2g.core.sanitize import make_visible
from m2g.report.layout import encoded, joined

_WIDE = 60
_HEAD = ("kind", "API version", "version", "from", "strictness")


def listing(rows: Sequence[msgspec.Struct], form: str) -> str:
    """The rows of `m2g schemas list` as a table or, with `json`, as one object."""
    plain = [msgspec.to_builtins(row) for row in rows]
    if form == "json":
        return encoded({"version": 1, "schemas": plain})
    table = [_HEAD, *(_row(item) for item in plain)]
    widths = [max(len(row[column]) for row in table) for column in range(len(_HEAD))]
    return joined(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
    )


def _row(item: Mapping[str, object]) -> tuple[str, ...]:
    count, rules = item["openParts"], item["rules"]
    strict = f"open in {_plural(count, 'place')}" if count else "strict"
    strict += f", {_plural(rules, 'CEL rule')}" if rules else ""
    cells = (item["kind"], item["apiVersion"], item["version"], item["source"], strict)
    return tuple(make_visible(str(cell), _WIDE) for cell in cells)


def _plural(count: object, word: str) -> str:
    return f"{count} {word}{'s' * (count != 1)}"


def schema(data: Mapping[str, object]) -> str:
    """A JSON Schema."""
    return encoded(data)


def imported(outcome: msgspec.Struct, form: str) -> str:
    """What an import did, a line a file; what was left out stands under it."""
    plain = msgspec.to_builtins(outcome)
    if form == "json":
        return encoded({"version": 1, **plain})
    lines = []
    for item in plain["imported"]:
        lines.append(f"{item['change']:8} {item['file']}  {make_visible(item['kind'], 2 * _WIDE)}")
        lines += [f"         not checked: {make_visible(words, 2 * _WIDE)}" for words in item["leftOut"]]
    lines += [f"refused  {make_visible(words, 4 * _WIDE)}" for words in plain["refused"]]
    refused = f", {len(plain['refused'])} refused" if plain["refused"] else ""
    lines.append(f"{_plural(len(plain['imported']), 'schema')} imported{refused}")
    return joined(lines)
