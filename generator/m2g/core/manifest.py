"""Manifests as plain data: parse them as Kubernetes does, identify them, and get values from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import ryaml

from m2g.core.yaml_reader import reject_costly

Manifest: TypeAlias = Mapping[str, object]
"""One object that kustomize printed."""

Identity: TypeAlias = tuple[str, str, str, str]
"""apiVersion, kind, namespace, name."""


def read_all(text: str) -> list[object]:
    """Parse every YAML document in `text`; scalars have the types that Go's YAML reader gives them.

    Raises ValueError for invalid YAML, and for text that would take minutes or all memory to parse.
    For files that people edit, use `m2g.core.yaml_reader`, which knows line numbers.
    """
    reject_costly(text)
    return ryaml.loads_all(text) or []  # None if there is no document


def identify(item: Manifest) -> Identity:
    """The identity of an object: two objects with the same identity are the same object."""
    return (
        str(item.get("apiVersion", "")),
        str(item.get("kind", "")),
        str(get_at(item, "metadata", "namespace") or ""),
        str(get_at(item, "metadata", "name") or ""),
    )


def name_kind(item: Manifest) -> str:
    """The kind of an object with its API group, as kubectl takes it: `NetworkPolicy.networking.k8s.io`, `ConfigMap`."""
    group = str(item.get("apiVersion", "")).rpartition("/")[0]
    return f"{item.get('kind', '')}.{group}" if group else str(item.get("kind", ""))


def get_at(item: object, *path: str | int) -> object:
    """The value at a path such as `"spec", "predictor"`, or None."""
    for step in path:
        if type(item) is dict:  # the usual case, and much faster than isinstance below
            item = item.get(step) if isinstance(step, str) else None
        elif isinstance(item, Mapping) and isinstance(step, str):
            item = item.get(step)
        elif isinstance(item, Sequence) and not isinstance(item, str) and isinstance(step, int) and step < len(item):
            item = item[step]
        else:
            return None
    return item
