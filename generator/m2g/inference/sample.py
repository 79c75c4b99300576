"""Make one row to send from a signature and an example: typed columns or tensors, and parameters, for any protocol."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from m2g.core.model import Field, Signature, Value
from m2g.inference import tensor
from m2g.inference.example import Example, take_cell
from m2g.inference.tensor import Tensor
from m2g.inference.type_parser import (
    NESTED,
    NULLABLE,
    Json,
    Mismatch,
    Property,
    Type,
    describe_mismatch,
    fit_value,
    make_value,
    parse,
)

_NAMES = 10
"""Maximum number of names in a note."""


class Column(Value, frozen=True, kw_only=True):
    """One cell of the row. `name` is empty if the signature has no names."""

    name: str
    type: Type
    value: Json


class Sample(Value, frozen=True, kw_only=True):
    """What to send: columns, or tensors if there are no columns. `whole` is a body that needs no envelope."""

    origin: Literal["example", "signature"]
    columns: tuple[Column, ...] = ()
    tensors: tuple[Tensor, ...] = ()
    params: dict[str, Json] = {}
    whole: dict[str, Json] | None = None
    notes: tuple[str, ...] = ()
    has_signature: bool = True
    """Whether the model has a signature."""


def make_sample(signature: Signature, example: Example | None) -> Sample | None:
    """The sample of a model with a signature; None if it would be too large. Raises InputError for an unsuitable
    example."""
    fields = signature.inputs or ()
    params, param_notes = _params(signature.params or (), example)
    if any(field.shape is not None for field in fields):
        found = _tensors(fields, example, params)
        return None if found is None else msgspec.structs.replace(found, notes=(*found.notes, *param_notes))
    columns, notes = _columns(fields, example)
    whole = example.value if example and example.form == "whole" else None
    return Sample(
        origin="example" if example else "signature",
        columns=columns,
        params=params,
        whole=whole if isinstance(whole, dict) else None,
        notes=(*notes, *param_notes),
    )


def make_untyped_sample(example: Example) -> Sample:
    """The sample of a model without a signature. The types are guessed from JSON."""
    match example.form, example.value:
        case (("row" | "whole"), dict(row)):
            columns = tuple(Column(name=name, type=_guess(value), value=value) for name, value in row.items())
            whole = row if example.form == "whole" else None
            return _free(example, columns=columns, whole=whole)
        case "values", [dict(row), *_]:
            return _free(example, columns=tuple(Column(name=n, type=_guess(v), value=v) for n, v in row.items()))
        case "cells", list(cells):
            return _free(example, columns=tuple(Column(name="", type=_guess(value), value=value) for value in cells))
        case "values", dict(named):
            return _free(example, tensors=[(name, value) for name, value in named.items()])
        case _, value:
            return _free(example, tensors=[("", value)])


def _free(
    example: Example,
    *,
    columns: tuple[Column, ...] = (),
    tensors: Sequence[tuple[str, Json]] = (),
    whole: dict[str, Json] | None = None,
) -> Sample:
    made = []
    for name, value in tensors:
        try:
            made.append(tensor.infer_tensor(name, value))
        except Mismatch as error:
            raise describe_mismatch(f"{_describe(name)}: {error}") from None
    params: dict[str, Json] = {name: value for name, value in example.params.items() if value is not None}
    return Sample(
        origin="example", columns=columns, tensors=tuple(made), params=params, whole=whole, has_signature=False
    )


def _guess(value: Json) -> Type:
    kinds: dict[type, str] = {bool: "boolean", int: "long", str: "string", list: "any", dict: "any"}
    return Type(name=kinds.get(type(value), "double"))


def _params(fields: Sequence[Field], example: Example | None) -> tuple[dict[str, Json], tuple[str, ...]]:
    """Every parameter that has a value in the example or a default, and notes."""
    given = example.params if example else {}
    found: dict[str, Json] = {}
    invalid: list[str] = []
    for field in fields:
        value = given.get(field.name)
        is_given = value is not None
        if not is_given:
            value = _default(field)
        if value is None:
            continue
        type_ = parse(field.type)
        if field.shape:
            type_ = Type(name="array", items=type_)
        try:
            found[field.name] = fit_value(type_, value)
        except Mismatch as error:
            if is_given:
                raise describe_mismatch(f"parameter {field.name[:80]!r}: {error}") from None
            invalid.append(field.name)
    notes = (
        (f"left out, because the default does not have the type of the parameter: {_list(invalid)}",) if invalid else ()
    )
    return found, notes


def _default(field: Field) -> Json:
    try:
        value: Json = json.loads(field.default or "null", parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None
    return value


def _tensors(fields: Sequence[Field], example: Example | None, params: dict[str, Json]) -> Sample | None:
    if example is None:
        made = [tensor.make_tensor(field) for field in fields]
        if any(found is None for found in made):
            return None
        loose = [field.name or "input-0" for field in fields if any(size < 0 for size in (field.shape or ())[1:])]
        notes = [f"a dimension of any size is 1 here: {_list(loose)}"] if loose else []
        return Sample(
            origin="signature", tensors=tuple(t for t in made if t is not None), params=params, notes=tuple(notes)
        )
    found = []
    for field, value in _tensor_values(fields, example):
        try:
            found.append(tensor.fit_tensor(field, value))
        except Mismatch as error:
            raise describe_mismatch(f"{_describe(field.name)}: {error}") from None
    return Sample(origin="example", tensors=tuple(found), params=params)


def _tensor_values(fields: Sequence[Field], example: Example) -> Iterator[tuple[Field, Json]]:
    value, alone = example.value, len(fields) == 1
    if alone and not fields[0].name:
        if example.form == "row" and isinstance(value, dict):
            value = [list(value.values())]
        elif example.form == "cells":
            value = [value]
        yield fields[0], value
        return
    for position, field in enumerate(fields):
        if isinstance(value, dict) and field.name in value:
            # A cell of a data frame is one row of the tensor.
            yield field, [value[field.name]] if example.form == "row" else value[field.name]
        elif isinstance(value, list) and example.form == "cells" and position < len(value):
            yield field, [value[position]]
        elif alone and not isinstance(value, dict):
            yield field, value
        else:
            raise describe_mismatch(f"{_describe(field.name)} is required, but the example does not have it")


def _columns(fields: Sequence[Field], example: Example | None) -> tuple[tuple[Column, ...], tuple[str, ...]]:
    types = [parse(field.type) for field in fields]
    notes = [
        f"m2g does not know the type {type_.name[:80]!r} of {_describe(field.name)}"
        for field, type_ in zip(fields, types, strict=True)
        if not type_.known
    ][:_NAMES]
    if example is None:
        return _made_up(fields, types, notes)
    cells = _cells(fields, types, example)
    columns, empty = [], []
    for position, (field, type_) in enumerate(zip(fields, types, strict=True)):
        value = cells.get(position)
        if value is None and not field.required:
            continue
        if position not in cells:
            raise describe_mismatch(f"{_describe(field.name)} is required, but the example does not have it")
        if value is None and type_.name not in NULLABLE:
            value = _replace_null(field, type_)
            empty.append(field.name or "input-0")
        columns.append(Column(name=field.name, type=type_, value=_fit(field, type_, value)))
    if fields and not columns:
        return _made_up(fields, types, notes)
    if empty:
        notes = [*notes, f"made up, because servers do not accept the null in the example: {_list(empty)}"]
    return tuple(columns), tuple(notes)


def _made_up(
    fields: Sequence[Field], types: Sequence[Type], notes: list[str]
) -> tuple[tuple[Column, ...], tuple[str, ...]]:
    """Columns with made-up values. Optional columns are left out, unless there are no others."""
    is_all_optional = all(not field.required for field in fields)
    chosen = [(f, t) for f, t in zip(fields, types, strict=True) if f.required or is_all_optional]
    left = [field.name for field in fields if not field.required and not is_all_optional]
    if left:
        notes = [*notes, f"optional, and left out here: {_list(left)}"]
    return tuple(Column(name=f.name, type=t, value=make_value(t)) for f, t in chosen), tuple(notes)


def _cells(fields: Sequence[Field], types: Sequence[Type], example: Example) -> dict[int, Json]:
    """The example's cells by position in the signature. Missing cells have no key; null is a value."""
    value, form = example.value, example.form
    if len(fields) == 1 and not fields[0].name:
        return _take_single(types[0], value, form)
    if form == "values" and isinstance(value, list) and value and isinstance(value[0], dict):
        value, form = value[0], "row"
    if isinstance(value, dict) and fields[0].name:
        return {
            position: take_cell(value[field.name], is_list=form != "values" or _holds_lists(type_))
            for position, (field, type_) in enumerate(zip(fields, types, strict=True))
            if field.name in value
        }
    if isinstance(value, dict):
        return dict(enumerate(value.values()))
    if form == "cells" and isinstance(value, list):
        return dict(enumerate(value))
    if value == []:
        return {}
    return {0: take_cell(value, is_list=len(fields) == 1 and _holds_lists(types[0]) and not _is_list_of_lists(value))}


def _holds_lists(type_: Type) -> bool:
    return type_.name in ("array", "any") or not type_.known


def _is_list_of_lists(value: Json) -> bool:
    """Whether these are rows that are themselves lists."""
    return isinstance(value, list) and bool(value) and isinstance(value[0], list)


def _take_single(type_: Type, value: Json, form: str) -> dict[int, Json]:
    """The value for a signature with one input without a name (a type hint such as list[str])."""
    if form == "row" and isinstance(value, dict) and type_.name not in ("object", "map", "any"):
        return dict(enumerate(value.values()))
    if isinstance(value, list) and (form != "cells" or type_.name != "array" or len(value) == 1):
        return dict(enumerate(value[:1]))
    return {0: value}


def _replace_null(field: Field, type_: Type) -> Json:
    """A value instead of a null. Types that cannot be null in a data frame raise InputError."""
    if type_.name in ("boolean", "integer", "long"):
        raise describe_mismatch(f"{_describe(field.name)} is required, but the example has no {type_.name} for it")
    return make_value(type_)


def _fit(field: Field, type_: Type, value: Json) -> Json:
    try:
        return fit_value(type_, value)
    except Mismatch as error:
        raise describe_mismatch(f"{_describe(field.name)}: {error}") from None


def expand_properties(column: Column) -> Iterator[Column]:
    """The properties of an object that is the whole input, as columns, because MLServer needs an input for each."""
    value = column.value if isinstance(column.value, dict) else {}
    known: dict[str, Property] = {p.name: p for p in column.type.properties or ()}
    for name, item in value.items():
        found = known.get(name)
        type_ = found.type if found else column.type.items or _guess(item)
        if item is not None or found is None or found.required:
            yield Column(name=name, type=type_, value=item)


def is_nested(type_: Type) -> bool:
    """Whether a cell of this type is encoded as JSON."""
    return type_.name in NESTED or not type_.known


def _describe(name: str) -> str:
    return f"column {name[:80]!r}" if name else "the input"


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return ", ".join(repr(name[:80]) for name in names[:_NAMES]) + more
