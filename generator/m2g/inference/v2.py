"""The sample as a body of the Open Inference Protocol (v2), in the encodings that MLServer 1.7.1 takes for MLflow.

What it takes was tried type by type (tests/inference): an INT64 is refused for a double, an offset in a datetime, a
list of values for an array column that does not say `pd_json`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from m2g.inference import json_format
from m2g.inference.sample import Column, Sample, expand_properties, is_nested
from m2g.inference.tensor import DATATYPES, Tensor
from m2g.inference.type_parser import Json

_RESERVED = frozenset(("content_type", "headers"))
"""Keys of a request's parameters that MLServer reads itself."""
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


def make_body(found: Sample) -> tuple[dict[str, Json], tuple[str, ...]]:
    """The body and what is to be said about it."""
    notes = []
    inputs: list[Json]
    if found.tensors:
        inputs = [_tensor(tensor, number) for number, tensor in enumerate(found.tensors)]
        content = "dict" if found.tensors[0].name else "np"
    else:
        content = "pd"
        inputs = [_column(column, number) for number, column in enumerate(_flat(found.columns))]
    unsent = sorted(_RESERVED & set(found.params))
    if unsent:
        notes.append(f"v2 cannot carry the parameter {' and '.join(unsent)}: MLServer reads that key itself")
    params = {name: value for name, value in found.params.items() if name not in _RESERVED}
    said = {"content_type": content, **params} if not _is_text(found) else params
    return {**({"parameters": said} if said else {}), "inputs": inputs}, tuple(notes)


def _is_text(found: Sample) -> bool:
    """Whether a signature says that the input is texts without a name.

    MLServer knows it from the signature; KServe's Hugging Face server would hand a data frame to its tokenizer where
    `pd` is said (kserve 0.21, get_predict_input).
    """
    columns = found.columns
    return found.has_signature and len(columns) == 1 and not columns[0].name and columns[0].type.name == "string"


def _flat(columns: Sequence[Column]) -> Iterator[Column]:
    """The columns; an object without a name has an input for each property.

    A model with a type hint (`list[Message]`) makes its objects of the columns' names (mlflow.types.type_hints).
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
        "shape": [1],  # MLServer 1.5.0 (KServe 0.15 to 0.17) makes tuples of [1, 1]; 1.7.1 takes both
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
