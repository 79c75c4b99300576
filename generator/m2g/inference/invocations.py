"""The sample as a body for MLflow's scoring server (`/invocations`), or for KServe's v1 (`:predict`)."""

from __future__ import annotations

from m2g.inference.sample import Sample, is_nested
from m2g.inference.type_parser import Json


def make_invocations_body(found: Sample) -> dict[str, Json]:
    """What MLflow's own server reads (mlflow.pyfunc.scoring_server): `inputs`, a split data frame, or no envelope."""
    if found.whole is not None:
        return found.whole
    envelope = _envelope(found)
    return {**envelope, "params": found.params} if found.params else envelope


def _envelope(found: Sample) -> dict[str, Json]:
    if found.tensors:
        if found.tensors[0].name:
            return {"inputs": {tensor.name: tensor.nested for tensor in found.tensors}}
        return {"inputs": found.tensors[0].nested}
    row: list[Json] = [column.value for column in found.columns]
    if len(row) == 1 and not found.columns[0].name:
        return {"inputs": row}  # a model with a type hint takes nothing else
    if found.columns and not found.columns[0].name:
        return {"dataframe_split": {"data": [row]}}
    return {"dataframe_split": {"columns": [column.name for column in found.columns], "data": [row]}}


def make_v1_body(found: Sample) -> tuple[dict[str, Json], tuple[str, ...]]:
    """What KServe's servers read: rows as lists, or a row as an object of one-row columns (get_predict_input)."""
    notes = ("v1 carries no parameters: the model takes its defaults",) if found.params else ()
    if found.tensors and not found.tensors[0].name:
        return {"instances": found.tensors[0].nested}, notes
    if found.tensors:
        return {"instances": [{tensor.name: tensor.nested for tensor in found.tensors}]}, notes
    if found.columns and not found.columns[0].name:
        row: list[Json] = [column.value for column in found.columns]
        alone = len(row) == 1 and not is_nested(found.columns[0].type)
        return {"instances": row if alone else [row]}, notes
    return {"instances": [{column.name: [column.value] for column in found.columns}]}, notes
