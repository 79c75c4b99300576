"""The bodies that a smoke test sends: the model's own input example, for each protocol.

Columns alone; `m2g.request` makes bodies for every signature and takes this module's place.
"""

from __future__ import annotations

import json
from typing import Literal

import msgspec

from m2g.errors import InputError
from m2g.model import Mlmodel, Value

_DATATYPES = {
    "double": "FP64",
    "float": "FP32",
    "long": "INT64",
    "integer": "INT32",
    "boolean": "BOOL",
    "string": "BYTES",
    "datetime": "BYTES",
}
_CONTENT = {"string": "str", "datetime": "datetime"}


class Question(Value, frozen=True, kw_only=True):
    """The same row for MLServer and for MLflow's scoring server."""

    v2: str
    invocations: str

    def body(self, protocol: Literal["v2", "invocations"]) -> str:
        return self.v2 if protocol == "v2" else self.invocations


class _Split(msgspec.Struct):
    columns: list[str]
    data: list[list[object]]


class _Example(msgspec.Struct):
    split: _Split = msgspec.field(name="dataframe_split")
    params: dict[str, object] = {}


def question(mlmodel: Mlmodel, name: str) -> Question:
    """Raises InputError for a model without an example or signature, and where the two contradict each other."""
    fields = mlmodel.signature.inputs if mlmodel.signature is not None else None
    if not mlmodel.example or not fields:
        hint = "log it with signature=… and input_example=…: by them m2g knows what to ask"
        raise InputError(f"{name} has no signature or no input example, so there is nothing to ask", hint=hint)
    try:
        example = msgspec.json.decode(mlmodel.example, type=_Example)
    except msgspec.DecodeError as error:
        hint = "log it with a DataFrame of named columns as input_example"
        raise InputError(f"the input example of {name} has no named columns: {error}", hint=hint) from error
    row = dict(zip(example.split.columns, example.split.data[0] if example.split.data else [], strict=False))
    missing = [field.name for field in fields if field.required and field.name not in row]
    odd = [field.type for field in fields if field.type not in _DATATYPES]
    if missing or odd:
        what = (
            f"lacks {missing[0][:80]!r}" if missing else f"has a column of type {odd[0][:80]}, which m2g cannot ask for"
        )
        hint = "log the model again with an input_example that fits its signature"
        raise InputError(f"the input example of {name} {what}", hint=hint)
    inputs = [
        {
            "name": field.name,
            "shape": [1, 1],
            "datatype": _DATATYPES[field.type],
            **({"parameters": {"content_type": _CONTENT[field.type]}} if field.type in _CONTENT else {}),
            "data": [row[field.name]],
        }
        for field in fields
        if row.get(field.name) is not None
    ]
    return Question(
        v2=json.dumps({"parameters": {"content_type": "pd", **example.params}, "inputs": inputs}),
        invocations=mlmodel.example,
    )
