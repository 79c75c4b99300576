"""serving_input_example.json → compact JSON text of its first row."""

from __future__ import annotations

import json

from m2g.core.model import Signature

MAX_LENGTH = 16 << 10
"""Bytes of an example that a record keeps."""
_ROWS = ("inputs", "instances")
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def compact_example(content: bytes, signature: Signature | None) -> str:
    """The example, cut to its first row; empty where there is none, where it is no JSON, or where a row is huge."""
    if not content:
        return ""
    try:
        loaded: object = json.loads(content, parse_constant=lambda _: None)
        if not isinstance(loaded, dict):
            return ""
        text = _ENCODER.encode(_cut(loaded, signature))
        return text if len(text.encode()) <= MAX_LENGTH else ""
    except (ValueError, RecursionError):
        return ""


def _cut(body: dict[str, object], signature: Signature | None) -> dict[str, object]:
    """One row of a body for MLflow's scoring server; what is no table of rows stays whole."""
    cut = dict(body)
    split = body.get("dataframe_split")
    if isinstance(split, dict):
        cut["dataframe_split"] = {
            key: value[:1] if key in {"data", "index"} and isinstance(value, list) else value
            for key, value in split.items()
        }
    records = body.get("dataframe_records")
    if isinstance(records, list):
        cut["dataframe_records"] = records[:1]
    for key in _ROWS if _has_rows(signature) else ():
        if key in body:
            cut[key] = _first(body[key])
    return cut


def _has_rows(signature: Signature | None) -> bool:
    """Whether the first dimension is one of rows: a tensor of fixed size is whole or wrong."""
    fields = (signature.inputs or ()) if signature is not None else ()
    return not any(field.shape is not None and field.shape[:1] != (-1,) for field in fields)


def _first(rows: object) -> object:
    if isinstance(rows, list):
        return rows[:1]
    if isinstance(rows, dict) and rows and all(isinstance(column, list) for column in rows.values()):
        lengths = {len(column) for column in rows.values()}
        return {name: column[:1] for name, column in rows.items()} if len(lengths) == 1 else rows
    return rows
