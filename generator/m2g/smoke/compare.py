"""What a server answered against what pyfunc said on the same input: pure, with a tolerance for numbers alone."""

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
"""Of numbers: what float32 and another order of additions may change."""
_MOST = 5
"""How many differences are told of one answer."""


class Column(Value, frozen=True, kw_only=True):
    """One output: its values in a row. `name` is empty where pyfunc gave none (an array, a list)."""

    name: str = ""
    data: tuple[Json, ...]


def of_v2(answer: Json) -> list[Column]:
    """The outputs of an Open Inference answer. Raises OutsideError for what is none."""
    outputs = answer.get("outputs") if isinstance(answer, dict) else None
    if not isinstance(outputs, list):
        raise OutsideError(f"the answer has no outputs: {json.dumps(answer)[:300]}")
    found = []
    for output in outputs:
        if not isinstance(output, dict):
            raise OutsideError(f"an output is no object: {json.dumps(output)[:300]}")
        data = output.get("data")
        if output.get("parameters") == {"content_type": "pd_json"} and isinstance(data, list):
            data = [_decoded(cell) for cell in data]
        found.append(Column(name=str(output.get("name", "")), data=tuple(_flat(data))))
    return found


def _decoded(cell: Json) -> Json:
    """A cell that is JSON itself: a list or an object in a data frame."""
    try:
        decoded: Json = json.loads(cell) if isinstance(cell, str) else cell
    except (ValueError, RecursionError):
        return cell
    return decoded


def of_invocations(answer: Json) -> list[Column]:
    """The predictions of MLflow's scoring server. Raises OutsideError for what is none."""
    if not isinstance(answer, dict) or "predictions" not in answer:
        raise OutsideError(f"the answer has no predictions: {json.dumps(answer)[:300]}")
    return columns(answer["predictions"])


def columns(value: Json) -> list[Column]:
    """Records by column, an object by key, everything else as one nameless column."""
    if isinstance(value, dict):
        return [Column(name=name, data=tuple(_flat(part))) for name, part in value.items()]
    if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        rows = [row for row in value if isinstance(row, dict)]
        names = list(dict.fromkeys(name for row in rows for name in row))
        return [Column(name=name, data=tuple(_flat([row.get(name) for row in rows]))) for name in names]
    return [Column(data=tuple(_flat(value)))]


def differences(expected: Sequence[Column], answered: Sequence[Column]) -> list[str]:
    """Sentences; empty where the answer says what pyfunc says. Outputs without a name are compared by their place."""
    if len(expected) != len(answered):
        return [f"{len(answered)} outputs, where pyfunc gives {len(expected)}"]
    by_name: Mapping[str, Column] = {column.name: column for column in answered}
    found: list[str] = []
    for place, column in enumerate(expected):
        other = by_name.get(column.name) if column.name and len(expected) > 1 else answered[place]
        if other is None:
            found.append(f"output {column.name[:80]!r} is missing")
        else:
            found += _column(column, other)
    return found[:_MOST]


def _column(expected: Column, answered: Column) -> Iterator[str]:
    name = expected.name or answered.name or "the answer"
    if len(expected.data) != len(answered.data):
        yield f"{name[:80]}: {len(answered.data)} values, where pyfunc gives {len(expected.data)}"
        return
    for place, (want, have) in enumerate(zip(expected.data, answered.data, strict=True)):
        if not equal(want, have):
            yield f"{name[:80]}[{place}]: {_shown(have)}, where pyfunc gives {_shown(want)}"


def equal(want: Json, have: Json) -> bool:
    """NaN and null are the same; text is compared exactly, also where a server wrote it as base64 or JSON."""
    if _empty(want) or _empty(have):
        return _empty(want) and _empty(have)
    if isinstance(want, bool | int | float) and isinstance(have, bool | int | float):
        return math.isclose(want, have, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    if isinstance(want, dict) and isinstance(have, dict):
        return want.keys() == have.keys() and all(equal(part, have[key]) for key, part in want.items())
    if isinstance(want, list) and isinstance(have, list):
        return len(want) == len(have) and all(map(equal, want, have))
    if isinstance(have, str) and isinstance(want, str):
        return have == want or have == base64.b64encode(want.encode()).decode()
    if isinstance(have, str) and isinstance(want, list | dict):
        try:
            return equal(want, json.loads(have))
        except (ValueError, RecursionError):
            return False
    return False


def _empty(value: Json) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _flat(value: Json) -> Iterator[Json]:
    if isinstance(value, list):
        for part in value:
            yield from _flat(part)
    else:
        yield value


def _shown(value: Json) -> str:
    return json.dumps(value)[:80]


def percentile(seconds: Sequence[float], share: float) -> float:
    """The smallest that at least this share of all does not exceed, in milliseconds."""
    ordered = sorted(seconds)
    return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)] * 1000, 2)
