"""Parse the types of a signature (`array<long>`, `object{a: double, b?: string}`), and fit values to them."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypeAlias

from m2g.core.errors import InputError
from m2g.core.model import Value

Json: TypeAlias = dict[str, "Json"] | list["Json"] | str | int | float | bool | None

NESTED = frozenset(("array", "map", "object", "any"))
"""Types that a cell of a table can contain only as JSON."""
NULLABLE = frozenset(("float", "double", "string"))
"""Types of columns for which both servers accept null."""
_MAX_DEPTH = 48
_INTEGERS = {"integer": 31, "long": 63}
_LARGEST_FLOAT = 3.4028234663852886e38
_SAMPLES: dict[str, Json] = {
    "boolean": True,
    "integer": 1,
    "long": 1,
    "float": 0.5,
    "double": 0.5,
    "string": "text",
    "binary": "Ynl0ZXM=",
    "datetime": "2026-01-01T00:00:00",
    "any": "text",
}
_NAME = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[^":?{}<>,]+)(\??):\s*')


class Property(Value, frozen=True, kw_only=True):
    """One key of an object."""

    name: str
    required: bool
    type: Type


class Type(Value, frozen=True, kw_only=True):
    """A type. `name` is MLflow's; `items` is the type of the items of an array or map; `known` is false for unknown
    names."""

    name: str
    items: Type | None = None
    properties: tuple[Property, ...] | None = None
    known: bool = True


class Mismatch(Exception):
    """A value does not fit its type. The text says why, and starts with the position in the value."""


_SCALARS = {name: Type(name=name) for name in _SAMPLES}
"""Nearly all columns have one of these types."""


def parse(text: str) -> Type:
    """Parse a type. Invalid text becomes a type with that name that is not known."""
    if text in _SCALARS:
        return _SCALARS[text]
    try:
        found, end = _parse(text, 0, 0)
    except ValueError:
        return Type(name=text, known=False)
    return found if end == len(text) else Type(name=text, known=False)


def _parse(text: str, start: int, depth: int) -> tuple[Type, int]:
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deeply")
    for name in ("array", "map"):
        if text.startswith(f"{name}<", start):
            items, end = _parse(text, start + len(name) + 1, depth + 1)
            return Type(name=name, items=items), _skip(text, end, ">")
    if text.startswith("object{", start):
        return _object(text, start + len("object{"), depth)
    end = next((at for at in range(start, len(text)) if text[at] in ",>}"), len(text))
    name = text[start:end]
    return Type(name=name, known=name in _SAMPLES or name in NESTED), end


def _object(text: str, at: int, depth: int) -> tuple[Type, int]:
    properties: list[Property] = []
    while not text.startswith("}", at):
        match = _NAME.match(text, at)
        if match is None:
            raise ValueError("a property without a name")
        name = json.loads(match[1]) if match[1].startswith('"') else match[1]
        inner, at = _parse(text, match.end(), depth + 1)
        properties.append(Property(name=name, required=not match[2], type=inner))
        if not text.startswith("}", at):
            at = _skip(text, at, ",")
    return Type(name="object", properties=tuple(properties)), at + 1


def _skip(text: str, at: int, mark: str) -> int:
    if not text.startswith(mark, at):
        raise ValueError(f"no {mark}")
    return at + len(mark)


def make_value(type_: Type) -> Json:
    """A made-up value, always the same one, without optional properties."""
    inner = None if type_.items is None else make_value(type_.items)
    match type_.name:
        case "array":
            return [] if type_.items is None else [inner]
        case "map":
            return {} if type_.items is None else {"key": inner}
        case "object":
            return {p.name: make_value(p.type) for p in type_.properties or () if p.required}
        case name:
            return _SAMPLES.get(name, "text")


def fit_value(type_: Type, value: Json, where: str = "") -> Json:
    """`value` in the JSON form of this type. Null stays null. Raises Mismatch."""
    if value is None or type_.name == "any" or not type_.known:
        return value
    match type_.name, value:
        case "array", list():
            inner = type_.items
            return value if inner is None else [fit_value(inner, item, f"{where}[{n}]") for n, item in enumerate(value)]
        case "map", dict():
            inner = type_.items
            return value if inner is None else {k: fit_value(inner, item, f"{where}.{k}") for k, item in value.items()}
        case "object", dict():
            return _fit_object(type_.properties, value, where)
        case _ if type_.name not in NESTED:
            return fit_scalar(type_.name, value, where)
        case _:
            raise _mismatch(type_.name, value, where)


def _fit_object(properties: Sequence[Property] | None, value: dict[str, Json], where: str) -> Json:
    if properties is None:
        return dict(value)
    known = {property_.name: property_ for property_ in properties}
    for property_ in properties:
        if property_.required and value.get(property_.name) is None:
            raise Mismatch(f"{where}.{property_.name} is required but missing")
    for name in value:
        if name not in known:
            raise Mismatch(f"{where}.{name} is not in the signature")
    return {name: fit_value(known[name].type, item, f"{where}.{name}") for name, item in value.items()}


def fit_scalar(name: str, value: Json, where: str = "") -> Json:
    """A value of one of MLflow's data types. Raises Mismatch."""
    match name, value:
        case "boolean", bool():
            return value
        case (("integer" | "long"), int()) if not isinstance(value, bool):
            return fit_integer(value, -(1 << _INTEGERS[name]), (1 << _INTEGERS[name]) - 1, name, where)
        case (("integer" | "long"), float()) if value.is_integer():
            return fit_scalar(name, int(value), where)
        case (("float" | "double"), int() | float()) if not isinstance(value, bool):
            return fit_float(value, _LARGEST_FLOAT if name == "float" else math.inf, name, where)
        case "string", str():
            return value
        case "binary", str():
            return _binary(value, where)
        case "datetime", str():
            return _datetime(value, where)
        case _:
            raise _mismatch(name, value, where)


def fit_integer(value: int, low: int, high: int, name: str, where: str) -> int:
    """An integer within the range of its type. Raises Mismatch."""
    if not low <= value <= high:
        raise _mismatch(name, value, where)
    return value


def fit_float(value: float, largest: float, name: str, where: str) -> float:
    """A finite number within the range of its type. Raises Mismatch."""
    try:
        number = float(value)
    except OverflowError:
        raise _mismatch(name, value, where) from None
    if not math.isfinite(number) or abs(number) > largest:
        raise _mismatch(name, value, where)
    return number


def _binary(value: str, where: str) -> str:
    """Base64 without the line breaks that MLflow adds."""
    text = "".join(value.split())
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Mismatch(f"{where or 'it'} is binary, but {_shown(value)} is not Base64") from None
    return text


def _datetime(value: str, where: str) -> str:
    """ISO 8601 without a time zone and with at most six digits, because the stock runtime's Python 3.10 parses no
    more."""
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is not None:
            moment = moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        raise _mismatch("datetime", value, where) from None
    return moment.isoformat()


def _mismatch(name: str, value: Json, where: str) -> Mismatch:
    return Mismatch(f"{where or 'it'} is {name}, but the value is {_shown(value)}")


def _shown(value: Json) -> str:
    kinds: dict[type, str] = {dict: "an object", list: "a list", type(None): "null"}
    if isinstance(value, dict | list) or value is None:
        return kinds[type(value)]
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 256:
        return "a huge number"  # Python does not print it
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def describe_mismatch(problem: str) -> InputError:
    """The error for an example that does not fit its signature."""
    return InputError(
        f"the input example does not fit the signature: {problem}",
        hint="log the model again with an example that fits: "
        "log_model(…, input_example=example, signature=infer_signature(example, model.predict(example)))",
    )
