"""Which fields of two states differ. The items of a list that have names are compared by name, as in `env`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeAlias

from m2g.core.field_path import format_path


class Named(NamedTuple):
    """A step to the item of a list with this `name`. It never equals a key, whatever the name is."""

    name: str


FieldSteps: TypeAlias = tuple[str | int | Named, ...]


def find_changes(before: object, after: object) -> list[FieldSteps]:
    """The fields that differ, from the root. What only one side has is followed down to its single values."""
    return list(_compare(before, after))


def get(item: object, path: FieldSteps) -> object:
    """The value at a path, or None."""
    for step in path:
        if isinstance(item, Mapping):
            item = item.get(step)
        elif isinstance(item, list) and isinstance(step, Named):
            item = (_by_name(item) or {}).get(step)
        elif isinstance(item, list) and isinstance(step, int) and step < len(item):
            item = item[step]
        else:
            return None
    return item


def format_steps(path: FieldSteps) -> str:
    """`spec.predictor.model.env[NAME].value`"""
    text = ""
    for step in path:
        piece = f"[{step.name}]" if isinstance(step, Named) else format_path((step,))
        text += piece if piece.startswith("[") or not text else f".{piece}"
    return text


def _compare(before: object, after: object) -> Iterator[FieldSteps]:
    waiting: list[tuple[object, object, FieldSteps]] = [(before, after, ())]
    while waiting:
        old, new, where = waiting.pop()
        if old == new and type(old) is type(new):
            continue
        sides = _pair_up(old, new)
        if sides is None:
            yield where
            continue
        one, two = sides
        if one.keys() == two.keys() and list(one) != list(two) and isinstance(old, list):
            yield where  # only the order differs, which decides for containers and for variables that use others
        waiting += ((one.get(key), two.get(key), (*where, key)) for key in reversed({**one, **two}))


def _pair_up(old: object, new: object) -> tuple[Mapping[str | int | Named, object], ...] | None:
    """What is below both sides, by step; None if they can only be compared as a whole."""
    known = [side for side in (old, new) if side is not None]
    if not any(known):
        return None
    if all(isinstance(side, Mapping) for side in known):
        return tuple(
            {str(key): value for key, value in side.items()} if isinstance(side, Mapping) else {} for side in (old, new)
        )
    if not all(isinstance(side, list) for side in known):
        return None
    named = [_by_name(side) if isinstance(side, list) else {} for side in (old, new)]
    if all(side is not None for side in named):
        return tuple(side or {} for side in named)
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return tuple(dict(enumerate(side)) for side in (old, new))
    return None


def _by_name(items: list[object]) -> dict[str | int | Named, object] | None:
    """The items by name; None if one has none, or if two have the same."""
    found: dict[str | int | Named, object] = {}
    for item in items:
        name = item.get("name") if isinstance(item, Mapping) else None
        if not isinstance(name, str) or Named(name) in found:
            return None
        found[Named(name)] = item
    return found
