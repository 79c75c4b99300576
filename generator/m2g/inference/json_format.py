"""JSON text that people read and programs take: a line for each part, ASCII, the same for the same value."""

from __future__ import annotations

import json
from collections.abc import Mapping

from m2g.inference.type_parser import Json

_JSON = json.JSONEncoder(allow_nan=False)


def format_body(body: Mapping[str, Json]) -> str:
    """An object over lines: its keys, and the items of the lists directly under it, have a line each.

    All but ASCII is escaped: no character hides in a diff, a terminal or a shell, and every server reads it alike.
    """
    parts = [f"  {json.dumps(key)}: {_part(value)}" for key, value in body.items()]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def format_line(value: Json) -> str:
    """One line."""
    return _JSON.encode(value)


def _part(value: Json) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict | list):
        return "[\n" + ",\n".join(f"    {format_line(item)}" for item in value) + "\n  ]"
    if isinstance(value, dict) and value and any(isinstance(item, dict | list) for item in value.values()):
        return (
            "{\n" + ",\n".join(f"    {json.dumps(key)}: {format_line(item)}" for key, item in value.items()) + "\n  }"
        )
    return format_line(value)
