"""A manifest as plain data: reading it as Kubernetes does, what identifies it, and looking into it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import ryaml

from m2g.core.yaml_reader import reject_costly

Manifest: TypeAlias = Mapping[str, object]
"""One object, as kustomize printed it."""

Identity: TypeAlias = tuple[str, str, str, str]
"""apiVersion, kind, namespace, name."""


def read_all(text: str) -> list[object]:
    """Every YAML document in `text`; scalars mean what they mean to Go. Raises ValueError for what is not YAML,
    and for what would take minutes or all memory to read.

    Not for what a person wrote by hand: there `m2g.core.yaml_reader` knows the lines.
    """
    reject_costly(text)
    return ryaml.loads_all(text) or []  # None for no document at all


def identify(item: Manifest) -> Identity:
    """What makes two objects the same one."""
    return (
        str(item.get("apiVersion", "")),
        str(item.get("kind", "")),
        str(get_at(item, "metadata", "namespace") or ""),
        str(get_at(item, "metadata", "name") or ""),
    )


def get_at(item: object, *place: str | int) -> object:
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
