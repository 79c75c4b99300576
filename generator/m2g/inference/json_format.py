"""Format JSON for people and programs: one line for each part, ASCII, deterministic."""

from __future__ import annotations

import json
from collections.abc import Mapping

from m2g.inference.type_parser import Json

_JSON = json.JSONEncoder(allow_nan=False)


def format_body(body: Mapping[str, Json]) -> str:
    """An object with one line for each key, and for each item of the lists directly below.

    Everything except ASCII is escaped, so that no character is invisible in a diff, a terminal or a shell.
    """
    parts = [f"  {json.dumps(key)}: {_part(value)}" for key, value in body.items()]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def format_line(value: Json) -> str:
    """A value as one line of JSON."""
    return _JSON.encode(value)


def _part(value: Json) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict | list):
        return "[\n" + ",\n".join(f"    {format_line(item)}" for item in value) + "\n  ]"
    if isinstance(value, dict) and value and any(isinstance(item, dict | list) for item in value.values()):
        return (
            "{\n" + ",\n".join(f"    {json.dumps(key)}: {format_line(item)}" for key, item in value.items()) + "\n  }"
        )
    return format_line(value)
