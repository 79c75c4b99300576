"""Compare a server's answer with pyfunc's prediction for the same input. Only numbers have a tolerance."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from m2g.core.errors import OutsideError
from m2g.core.model import Value

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None
RELATIVE, ABSOLUTE = 1e-5, 1e-8
"""The tolerance for numbers: float32 and another order of additions may change that much."""
_MAX_DIFFERENCES = 5
"""How many differences of one answer are reported."""
_CHAT_ANSWERS = ("output", "choices", "messages")
"""What the answer of a ResponsesAgent, of a ChatModel and of a ChatAgent has."""
_VOLATILE = frozenset({"id", "created", "created_at"})
_NOT_MODEL = "check that the address is that of the model, and that --profile names its server"


class Column(Value, frozen=True, kw_only=True):
    """One output with its values. `name` is empty if pyfunc returns none (for an array or a list)."""

    name: str = ""
    data: tuple[Json, ...]


def read_v2(answer: Json) -> list[Column]:
    """The outputs of an Open Inference answer. Raises OutsideError if it is not one."""
    outputs = answer.get("outputs") if isinstance(answer, dict) else None
    if not isinstance(outputs, list):
        raise OutsideError(f"the answer has no outputs: {json.dumps(answer)[:300]}", hint=_NOT_MODEL)
    columns = []
    for output in outputs:
        if not isinstance(output, dict):
            raise OutsideError(f"an output is not an object: {json.dumps(output)[:300]}", hint=_NOT_MODEL)
        data = output.get("data")
        if output.get("parameters") == {"content_type": "pd_json"} and isinstance(data, list):
            data = [_decode(cell) for cell in data]
        columns.append(Column(name=str(output.get("name", "")), data=tuple(_flatten(data))))
    return columns


def _decode(cell: Json) -> Json:
    """A cell that may be JSON text: a list or an object in a DataFrame."""
    try:
        decoded: Json = json.loads(cell) if isinstance(cell, str) else cell
    except (ValueError, RecursionError):
        return cell
    return decoded


def read_invocations(answer: Json) -> list[Column]:
    """The predictions of MLflow's scoring server. Raises OutsideError if there are none.

    MLflow puts no `predictions` around an answer in the form of a chat API (unwrapped_predictions_to_json).
    """
    if is_chat(answer):
        return to_columns(answer)
    if not isinstance(answer, dict) or "predictions" not in answer:
        raise OutsideError(f"the answer has no predictions: {json.dumps(answer)[:300]}", hint=_NOT_MODEL)
    return to_columns(answer["predictions"])


def is_chat(answer: Json) -> bool:
    """Whether an answer has the form of a chat API."""
    return isinstance(answer, dict) and "predictions" not in answer and any(key in answer for key in _CHAT_ANSWERS)


def drop_volatile(columns: Sequence[Column]) -> list[Column]:
    """A chat answer without what is new in each answer, ids and times, and without empty fields."""
    kept = (column for column in columns if column.name not in _VOLATILE and column.data != (None,))
    return [Column(name=column.name, data=tuple(map(_drop_volatile, column.data))) for column in kept]


def _drop_volatile(value: Json) -> Json:
    if isinstance(value, list):
        return [_drop_volatile(part) for part in value]
    if not isinstance(value, dict):
        return value
    return {key: _drop_volatile(part) for key, part in value.items() if key not in _VOLATILE and part is not None}


def to_columns(value: Json) -> list[Column]:
    """Records become one column for each field, an object one for each key, everything else one without a name."""
    if isinstance(value, dict):
        return [Column(name=name, data=tuple(_flatten(part))) for name, part in value.items()]
    if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        rows = [row for row in value if isinstance(row, dict)]
        names = list(dict.fromkeys(name for row in rows for name in row))
        return [Column(name=name, data=tuple(_flatten([row.get(name) for row in rows]))) for name in names]
    return [Column(data=tuple(_flatten(value)))]


def find_differences(expected: Sequence[Column], answered: Sequence[Column]) -> list[str]:
    """The differences as sentences; empty if there are none. Outputs without a name are compared by position."""
    if len(expected) != len(answered):
        return [f"the server returns {len(answered)} outputs, pyfunc {len(expected)}"]
    by_name: Mapping[str, Column] = {column.name: column for column in answered}
    differences: list[str] = []
    for index, column in enumerate(expected):
        other = by_name.get(column.name) if column.name and len(expected) > 1 else answered[index]
        if other is None:
            differences.append(f"the server does not return the output {column.name[:80]!r}")
        else:
            differences += _compare_column(column, other)
    return differences[:_MAX_DIFFERENCES]


def _compare_column(expected: Column, answered: Column) -> Iterator[str]:
    name = expected.name or answered.name or "the answer"
    if len(expected.data) != len(answered.data):
        yield f"{name[:80]}: the server returns {len(answered.data)} values, pyfunc {len(expected.data)}"
        return
    for index, (want, have) in enumerate(zip(expected.data, answered.data, strict=True)):
        if not is_equal(want, have):
            yield f"{name[:80]}[{index}]: the server returns {_shorten(have)}, pyfunc {_shorten(want)}"


def is_equal(want: Json, have: Json) -> bool:
    """Compare two values. NaN equals null; text must be identical, or be sent as base64 or JSON."""
    if _empty(want) or _empty(have):
        return _empty(want) and _empty(have)
    if isinstance(want, bool | int | float) and isinstance(have, bool | int | float):
        return math.isclose(want, have, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    if isinstance(want, dict) and isinstance(have, dict):
        return want.keys() == have.keys() and all(is_equal(part, have[key]) for key, part in want.items())
    if isinstance(want, list) and isinstance(have, list):
        return len(want) == len(have) and all(map(is_equal, want, have))
    if isinstance(have, str) and isinstance(want, str):
        return have == want or have == base64.b64encode(want.encode()).decode()
    if isinstance(have, str) and isinstance(want, list | dict):
        try:
            return is_equal(want, json.loads(have))
        except (ValueError, RecursionError):
            return False
    return False


def _empty(value: Json) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _flatten(value: Json) -> Iterator[Json]:
    if isinstance(value, list):
        for part in value:
            yield from _flatten(part)
    else:
        yield value


def _shorten(value: Json) -> str:
    return json.dumps(value)[:80]


def percentile(seconds: Sequence[float], share: float) -> float:
    """A percentile in milliseconds: the smallest value that this share of all does not exceed."""
    ordered = sorted(seconds)
    return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)] * 1000, 2)
