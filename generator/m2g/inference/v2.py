"""Make a body of the Open Inference Protocol (v2) from a sample, in encodings that MLServer 1.7.1 accepts for MLflow.

They were tested type by type (tests/inference): MLServer rejects an INT64 for a double, an offset in a datetime, and a
list of values for an array column without `pd_json`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from m2g.inference import json_format
from m2g.inference.sample import Column, Sample, expand_properties, is_nested
from m2g.inference.tensor import DATATYPES, Tensor
from m2g.inference.type_parser import Json

_RESERVED = frozenset(("content_type", "headers"))
"""Parameters of a request that MLServer itself uses."""
_COLUMNS = {
    "boolean": ("BOOL", "np"),
    "integer": ("INT32", "np"),
    "long": ("INT64", "np"),
    "float": ("FP32", "np"),
    "double": ("FP64", "np"),
    "string": ("BYTES", "str"),
    "binary": ("BYTES", "base64"),
    "datetime": ("BYTES", "datetime"),
}


def make_body(sample: Sample) -> tuple[dict[str, Json], tuple[str, ...]]:
    """The body, and notes about it."""
    notes = []
    inputs: list[Json]
    if sample.tensors:
        inputs = [_tensor(tensor, number) for number, tensor in enumerate(sample.tensors)]
        content = "dict" if sample.tensors[0].name else "np"
    else:
        content = "pd"
        inputs = [_column(column, number) for number, column in enumerate(_flat(sample.columns))]
    unsent = sorted(_RESERVED & set(sample.params))
    if unsent:
        notes.append(f"v2 cannot contain the parameter {' and '.join(unsent)}, because MLServer uses this key itself")
    params = {name: value for name, value in sample.params.items() if name not in _RESERVED}
    parameters = params if _is_text(sample) else {"content_type": content, **params}
    return {**({"parameters": parameters} if parameters else {}), "inputs": inputs}, tuple(notes)


def _is_text(sample: Sample) -> bool:
    """Whether the input in the signature is text without a name.

    MLServer knows that from the signature. With `pd`, KServe's Hugging Face server would pass a data frame to its
    tokenizer (kserve 0.21, get_predict_input).
    """
    columns = sample.columns
    return sample.has_signature and len(columns) == 1 and not columns[0].name and columns[0].type.name == "string"


def _flat(columns: Sequence[Column]) -> Iterator[Column]:
    """The columns, where an object without a name becomes one column for each property.

    A model with a type hint (`list[Message]`) builds its objects from the columns (mlflow.types.type_hints).
    """
    for column in columns:
        whole = not column.name and len(columns) == 1 and column.type.name == "object"
        if whole and isinstance(column.value, dict):
            yield from expand_properties(column)
        else:
            yield column


def _column(column: Column, number: int) -> Json:
    value = column.value
    if is_nested(column.type):
        datatype, content, value = "BYTES", "pd_json", json_format.format_line(value)
    else:
        datatype, content = _COLUMNS[column.type.name]
    return {
        "name": column.name or f"input-{number}",
        "shape": [1],  # MLServer 1.5.0 (KServe 0.15 to 0.17) converts [1, 1] to tuples; 1.7.1 accepts both
        "datatype": datatype,
        "parameters": {"content_type": content},
        "data": [value],
    }


def _tensor(tensor: Tensor, number: int) -> Json:
    return {
        "name": tensor.name or f"input-{number}",
        "shape": list(tensor.shape),
        "datatype": DATATYPES[tensor.dtype],
        "parameters": {"content_type": "np"},
        "data": list(tensor.data),
    }
