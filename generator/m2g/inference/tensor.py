"""Convert between nested lists and tensors (shape and flat data), and check them against a signature."""

from __future__ import annotations

import math
from collections.abc import Sequence

from m2g.core.model import Field, Value
from m2g.inference.type_parser import Json, Mismatch, fit_float, fit_integer

MAX_VALUES = 1 << 20
"""Maximum values of a made-up tensor. MLflow's server accepts 100 MB, but a sample of that size is useless."""
DATATYPES = {
    "bool": "BOOL",
    **{f"uint{bits}": f"UINT{bits}" for bits in (8, 16, 32, 64)},
    **{f"int{bits}": f"INT{bits}" for bits in (8, 16, 32, 64)},
    **{f"float{bits}": f"FP{bits}" for bits in (16, 32, 64)},
    "str": "BYTES",
    "object": "BYTES",
}
"""dtype to the datatype of protocol v2. MLServer cannot load a model with any other dtype."""
_INTEGERS = {f"{sign}int{bits}": bits for sign in ("", "u") for bits in (8, 16, 32, 64)}
_LARGEST = {"float16": 65504.0, "float32": 3.4028234663852886e38, "float64": math.inf}


class Tensor(Value, frozen=True, kw_only=True):
    """One tensor of a request. `data` is flat, row by row."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    data: tuple[Json, ...]

    @property
    def nested(self) -> Json:
        """The data as nested lists."""
        values: list[Json] = list(self.data)
        for size in reversed(self.shape[1:]):
            step = max(size, 1)
            values = [values[at : at + step] for at in range(0, len(values), step)]
        return values if self.shape else values[0]


def make_tensor(field: Field) -> Tensor | None:
    """One row of made-up values. A dimension of any size is 1. None if the tensor would be too large."""
    shape = tuple(1 if size < 0 else size for size in field.shape or ())
    count = 1
    for size in shape:
        count *= size
        if count > MAX_VALUES:
            return None
    value: Json = 0.5 if field.type.startswith("float") else 1
    if field.type == "bool":
        value = True
    elif field.type in ("str", "object"):
        value = "text"
    return Tensor(name=field.name, dtype=field.type, shape=shape, data=(value,) * count)


def fit_tensor(field: Field, value: Json) -> Tensor:
    """The first row of an example as a tensor for this field. Raises Mismatch."""
    shape = _batch(field.shape or (), value)
    actual = _shape(value) if isinstance(value, list) else ()
    if shape and isinstance(value, list) and value:
        value = value[:1] * shape[0] if len(value) == 1 else value[: shape[0]]
        actual = (len(value), *actual[1:])
    if len(actual) != len(shape) or any(want not in (-1, have) for want, have in zip(shape, actual, strict=True)):
        raise Mismatch(f"it has shape {_format(actual)}, but the signature has {_format(field.shape or ())}")
    data: list[Json] = []
    _flatten(value, actual, data)
    return Tensor(
        name=field.name, dtype=field.type, shape=actual, data=tuple(_scalar(field.type, item) for item in data)
    )


def infer_tensor(name: str, value: Json) -> Tensor:
    """A tensor without a signature. The dtype is inferred from the JSON values. Raises Mismatch."""
    value = value[:1] if isinstance(value, list) else value
    shape = _shape(value) if isinstance(value, list) else ()
    data: list[Json] = []
    _flatten(value, shape, data)
    kinds = {type(item) for item in data if item is not None}
    dtype = "float64"
    if kinds == {bool}:
        dtype = "bool"
    elif kinds == {int} and None not in data:
        dtype = "int64"
    elif str in kinds:
        dtype = "str"
    return Tensor(name=name, dtype=dtype, shape=shape, data=tuple(_scalar(dtype, item) for item in data))


def _batch(shape: Sequence[int], value: Json) -> tuple[int, ...]:
    """The signature's shape for one row. A first dimension of fixed size is a batch that must be complete."""
    if not shape or shape[0] != -1:
        return tuple(shape)
    return (min(1, len(value)) if isinstance(value, list) else 1, *shape[1:])


def _shape(value: Json) -> tuple[int, ...]:
    sizes = []
    while isinstance(value, list):
        sizes.append(len(value))
        value = value[0] if value else None
    return tuple(sizes)


def _flatten(value: Json, shape: Sequence[int], data: list[Json]) -> None:
    if not shape:
        if isinstance(value, list | dict):
            raise Mismatch("its rows have different shapes")
        data.append(value)
        return
    if not isinstance(value, list) or len(value) != shape[0]:
        raise Mismatch("its rows have different shapes")
    for item in value:
        _flatten(item, shape[1:], data)


def _scalar(dtype: str, value: Json) -> Json:
    match value:
        case bool() if dtype in ("bool", "object"):
            return value
        case str() if dtype in ("str", "object", "bytes") or dtype not in DATATYPES:
            return value
        case None if dtype.startswith("float") or dtype == "object":
            return None
        case int() | float() if not isinstance(value, bool) and dtype in _LARGEST:
            return fit_float(value, _LARGEST[dtype], dtype, "a value")
        case float() if dtype in _INTEGERS and value.is_integer():
            return _scalar(dtype, int(value))
        case int() if not isinstance(value, bool) and dtype in _INTEGERS:
            bits = _INTEGERS[dtype]
            low, high = (0, (1 << bits) - 1) if dtype.startswith("u") else (-(1 << bits - 1), (1 << bits - 1) - 1)
            return fit_integer(value, low, high, dtype, "a value")
        case int() | float() if dtype not in DATATYPES or dtype == "object":
            return value
    raise Mismatch(f"a value is {type(value).__name__ if value is not None else 'null'}, but the tensor is {dtype}")


def _format(shape: Sequence[int]) -> str:
    return "[" + ", ".join("any" if size < 0 else str(size) for size in shape) + "]"
