"""Which objects give power, and which fields of two states differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from m2g.core.manifest import Manifest, get_at, name_kind
from m2g.core.node_access import find_node_access

_GROUPS = (
    *("rbac.authorization.k8s.io", "admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io"),
    *("argoproj.io", "fluxcd.io", "certificates.k8s.io"),
)
_KINDS = frozenset({"Secret", "Namespace", "ServiceAccount", "Pod", "PersistentVolume", "Node"})
FieldSteps = tuple[str | int, ...]


def is_powerful(item: Manifest) -> bool:
    """Whether an object gives rights, decides what is applied, or gives access to nodes."""
    kind, _, group = name_kind(item).partition(".")
    of_group = any(group == name or group.endswith(f".{name}") for name in _GROUPS)
    return of_group or (not group and kind in _KINDS) or any(True for _ in find_node_access(item))


def find_changes(before: object, after: object) -> list[FieldSteps]:
    """The fields that differ, from the root."""
    return list(_compare(before, after, ()))


def list_names(path: FieldSteps, *items: Manifest) -> Iterator[str]:
    """The names of the fields on a path, and of those that the objects have below it."""
    yield from (str(step) for step in path)
    waiting: list[object] = [get_at(item, *path) for item in items]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Mapping):
            yield from (str(key) for key in node)
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node


def _compare(before: object, after: object, where: FieldSteps) -> Iterator[FieldSteps]:
    waiting = [(before, after, where)]
    while waiting:
        old, new, where = waiting.pop()
        if old == new and type(old) is type(new):
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            waiting += ((old.get(key), new.get(key), (*where, str(key))) for key in reversed({**old, **new}))
        elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
            waiting += ((one, two, (*where, index)) for index, (one, two) in enumerate(zip(old, new, strict=True)))
        else:
            yield where
