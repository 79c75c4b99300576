"""A manifest as plain data: reading it as Kubernetes does, what identifies it, and looking into it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import ryaml

from m2g.core.yaml_reader import refuse_costly

Manifest: TypeAlias = Mapping[str, object]
"""One object, as kustomize printed it."""

Identity: TypeAlias = tuple[str, str, str, str]
"""apiVersion, kind, namespace, name."""

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_STEP = re.compile(r'\.?(?:([A-Za-z_][A-Za-z0-9_-]*)|\[([0-9]+)\]|\[("(?:[^"\\]|\\.)*")\])')


def read_all(text: str) -> list[object]:
    """Every YAML document in `text`; scalars mean what they mean to Go. Raises ValueError for what is not YAML,
    and for what would take minutes or all memory to read.

    Not for what a person wrote by hand: there `m2g.core.yaml_reader` knows the lines.
    """
    refuse_costly(text)
    return ryaml.loads_all(text) or []  # None for no document at all


def identity(item: Manifest) -> Identity:
    """What makes two objects the same one."""
    return (
        str(item.get("apiVersion", "")),
        str(item.get("kind", "")),
        str(at(item, "metadata", "namespace") or ""),
        str(at(item, "metadata", "name") or ""),
    )


def at(item: object, *place: str | int) -> object:
    """The value at a place such as `"spec", "predictor"`; None where there is none."""
    for step in place:
        if type(item) is dict:  # nearly always, and much cheaper to ask than what follows
            item = item.get(step) if isinstance(step, str) else None
        elif isinstance(item, Mapping) and isinstance(step, str):
            item = item.get(step)
        elif isinstance(item, Sequence) and not isinstance(item, str) and isinstance(step, int) and step < len(item):
            item = item[step]
        else:
            return None
    return item


def path_text(place: Sequence[str | int]) -> str:
    """`("spec", "canary", 0, "a/b")` as `spec.canary[0]["a/b"]`; the root is empty."""
    parts = []
    for step in place:
        if isinstance(step, int):
            parts.append(f"[{step}]")
        else:
            parts.append(f".{step}" if _PLAIN_KEY.fullmatch(step) else f"[{json.dumps(step, ensure_ascii=False)}]")
    return "".join(parts).removeprefix(".")


def place_of(path: str) -> tuple[str | int, ...]:
    """The place that `path_text` wrote; what is no such path is one step."""
    steps: list[str | int] = []
    position = 0
    while position < len(path):
        found = _STEP.match(path, position)
        if found is None:
            return (path,)
        key, index, quoted = found.groups()
        steps.append(int(index) if index else key or json.loads(quoted))
        position = found.end()
    return tuple(steps)
