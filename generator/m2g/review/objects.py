"""Compare two sets of built objects: those that differ, with the diff of their YAML."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence

from m2g.core.errors import InputError
from m2g.core.manifest import Identity, Manifest, identify
from m2g.core.results import ChangeKind
from m2g.core.yaml_writer import Plain, dump
from m2g.review.values import ObjectChange

_MOST_LINES = 4000
"""difflib's time grows with the square of the number of lines."""
_SECRET = ("data", "stringData")


def compare(before: Sequence[Manifest], after: Sequence[Manifest]) -> list[ObjectChange]:
    """Every object that was added, removed or changed, sorted by identity."""
    old, new = _keyed(before), _keyed(after)
    changes = []
    for key in sorted({*old, *new}):
        was, now = old.get(key), new.get(key)
        if was != now:
            kind = ChangeKind.ADDED if was is None else ChangeKind.REMOVED if now is None else ChangeKind.CHANGED
            changes.append(_change(kind, key, was, now))
    return changes


def _change(kind: ChangeKind, key: Identity, was: Manifest | None, now: Manifest | None) -> ObjectChange:
    api_version, object_kind, namespace, name = key
    if object_kind == "Secret":
        was, now = _hidden(was, now, "before"), _hidden(now, was, "after")
    return ObjectChange(
        kind=kind,
        api_version=api_version,
        object_kind=object_kind,
        namespace=namespace,
        name=name,
        diff=tuple(_diff(_lines(was), _lines(now))),
    )


def _keyed(objects: Sequence[Manifest]) -> dict[Identity, Manifest]:
    return {identify(item): item for item in objects}


def _diff(old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    if len(old) + len(new) > _MOST_LINES:
        yield f"@@ {len(old)} lines before, {len(new)} after: too many to compare @@"
        return
    for number, line in enumerate(difflib.unified_diff(old, new, n=3, lineterm="")):
        if number > 1:  # the first two lines name files, and there are none
            yield line


def _lines(item: Manifest | None) -> list[str]:
    if item is None:
        return []
    plain = _plain(item)
    try:
        return dump(plain).splitlines()
    except InputError:  # a hand-written component may contain what m2g itself never writes
        return json.dumps(plain, indent=2, ensure_ascii=True).splitlines()


def _plain(value: object) -> Plain:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)


def _hidden(item: Manifest | None, other: Manifest | None, word: str) -> Manifest | None:
    """The Secret without its values: the diff shows that a value changed, not the value."""
    if item is None:
        return None
    return {**item, **{key: _masked(item[key], other, key, word) for key in _SECRET if key in item}}


def _masked(values: object, other: Manifest | None, key: str, word: str) -> object:
    others = other.get(key) if other else None
    if not isinstance(values, dict):
        return f"(hidden: {word})"
    known = others if isinstance(others, dict) else {}
    return {
        name: "(hidden)" if name in known and known[name] == value else f"(hidden: {word})"
        for name, value in values.items()
    }
