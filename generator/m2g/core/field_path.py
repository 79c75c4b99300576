"""The path of a field inside a document, such as `spec.canary[0].name`: as a sequence of steps and as text."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TypeAlias

FieldPath: TypeAlias = Sequence[str | int]
"""Keys and list indexes, from the root of the document."""

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_STEP = re.compile(r'\.?(?:([A-Za-z_][A-Za-z0-9_-]*)|\[([0-9]+)\]|\[("(?:[^"\\]|\\.)*")\])')


def format_path(path: FieldPath) -> str:
    """`("spec", "canary", 0, "a/b")` as `spec.canary[0]["a/b"]`; the root is the empty string."""
    parts = []
    for step in path:
        if isinstance(step, int):
            parts.append(f"[{step}]")
        else:
            parts.append(f".{step}" if _PLAIN_KEY.fullmatch(step) else f"[{json.dumps(step, ensure_ascii=False)}]")
    return "".join(parts).removeprefix(".")


def parse_path(text: str) -> tuple[str | int, ...]:
    """The steps of a path that `format_path` wrote. Text of any other form is returned as one step."""
    steps: list[str | int] = []
    position = 0
    while position < len(text):
        match = _STEP.match(text, position)
        if match is None:
            return (text,)
        key, index, quoted = match.groups()
        steps.append(int(index) if index else key or json.loads(quoted))
        position = match.end()
    return tuple(steps)
