"""JSON patches (RFC 6902) on plain data: `add`, `remove` and `replace`, and their pointers (RFC 6901)."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TypeVar, cast

_Object = TypeVar("_Object", bound=Mapping[str, object])


class PatchError(Exception):
    """An operation that fits no place of the object. The text says why."""


def parse_pointer(pointer: str) -> tuple[str, ...]:
    """The keys of a pointer: `/a/b~1c` as `("a", "b/c")`."""
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:])


def escape_key(key: str) -> str:
    """A key as a part of a pointer."""
    return key.replace("~", "~0").replace("/", "~1")


def apply(item: _Object, operations: Sequence[Mapping[str, object]]) -> tuple[_Object, list[tuple[str, str]]]:
    """A patched copy, and the pointer and the reason of each operation that fits no place; these are left out."""
    result, problems = cast(_Object, copy.deepcopy(dict(item))), []
    for operation in operations:
        pointer = str(operation["path"])
        try:
            _apply_one(result, parse_pointer(pointer), operation)
        except PatchError as error:
            problems.append((pointer, str(error)))
    return result, problems


def _apply_one(item: object, keys: tuple[str, ...], operation: Mapping[str, object]) -> None:
    for index, key in enumerate(keys[:-1]):
        item = _step(item, key, keys[: index + 1])
    last, removes, adds = keys[-1], operation["op"] == "remove", operation["op"] == "add"
    if not removes and "value" not in operation:
        raise PatchError(f"{operation['op']} has no value")
    value = copy.deepcopy(operation.get("value"))
    if isinstance(item, list):
        if adds and last in ("-", str(len(item))):
            item.append(value)
        elif removes:
            item.pop(_find_index(item, last, keys))
        elif adds:
            item.insert(_find_index(item, last, keys), value)
        else:
            item[_find_index(item, last, keys)] = value
    elif not isinstance(item, dict) or not (adds or last in item):
        raise PatchError(_explain(keys))
    elif removes:
        del item[last]
    else:
        item[last] = value


def _step(item: object, key: str, keys: tuple[str, ...]) -> object:
    if isinstance(item, list):
        return item[_find_index(item, key, keys)]
    if not isinstance(item, dict) or key not in item:
        raise PatchError(_explain(keys))
    return item[key]


def _find_index(items: Sequence[object], key: str, keys: tuple[str, ...]) -> int:
    if not (key.isascii() and key.isdigit() and str(int(key[:9])) == key and int(key) < len(items)):
        raise PatchError(_explain(keys))
    return int(key)


def _explain(keys: tuple[str, ...]) -> str:
    return f"there is no /{'/'.join(map(escape_key, keys))}"
