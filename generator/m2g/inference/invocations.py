"""Make a body for MLflow's scoring server (`/invocations`) or KServe's v1 protocol (`:predict`) from a sample."""

from __future__ import annotations

from m2g.inference.sample import Sample, is_nested
from m2g.inference.type_parser import Json


def make_invocations_body(sample: Sample) -> dict[str, Json]:
    """A body for MLflow's server (mlflow.pyfunc.scoring_server): `inputs`, a split data frame, or no envelope."""
    if sample.whole is not None:
        return sample.whole
    envelope = _envelope(sample)
    return {**envelope, "params": sample.params} if sample.params else envelope


def _envelope(sample: Sample) -> dict[str, Json]:
    if sample.tensors:
        if sample.tensors[0].name:
            return {"inputs": {tensor.name: tensor.nested for tensor in sample.tensors}}
        return {"inputs": sample.tensors[0].nested}
    row: list[Json] = [column.value for column in sample.columns]
    if len(row) == 1 and not sample.columns[0].name:
        return {"inputs": row}  # a model with a type hint accepts nothing else
    if sample.columns and not sample.columns[0].name:
        return {"dataframe_split": {"data": [row]}}
    return {"dataframe_split": {"columns": [column.name for column in sample.columns], "data": [row]}}


def make_v1_body(sample: Sample) -> tuple[dict[str, Json], tuple[str, ...]]:
    """A body for KServe's servers: rows as lists, or a row as an object of one-row columns (get_predict_input)."""
    notes = ("v1 has no parameters, so the model uses its defaults",) if sample.params else ()
    if sample.tensors and not sample.tensors[0].name:
        return {"instances": sample.tensors[0].nested}, notes
    if sample.tensors:
        return {"instances": [{tensor.name: tensor.nested for tensor in sample.tensors}]}, notes
    if sample.columns and not sample.columns[0].name:
        row: list[Json] = [column.value for column in sample.columns]
        alone = len(row) == 1 and not is_nested(sample.columns[0].type)
        return {"instances": row if alone else [row]}, notes
    return {"instances": [{column.name: [column.value] for column in sample.columns}]}, notes
