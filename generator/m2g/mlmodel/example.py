"""Reduce serving_input_example.json to compact JSON text of its first row."""

from __future__ import annotations

import json

from m2g.core.model import Signature

MAX_LENGTH = 16 << 10
"""Maximum bytes of an example in a record."""
_ROWS = ("inputs", "instances")
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def compact_example(content: bytes, signature: Signature | None) -> str:
    """The first row of the example; empty if there is none, if it is not JSON, or if the row is too large."""
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
    """One row of a body for MLflow's scoring server. A body that is not a table of rows stays unchanged."""
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
    """Whether the first dimension counts rows. A tensor of fixed size cannot be cut."""
    fields = (signature.inputs or ()) if signature is not None else ()
    return not any(field.shape is not None and field.shape[:1] != (-1,) for field in fields)


def _first(rows: object) -> object:
    if isinstance(rows, list):
        return rows[:1]
    if isinstance(rows, dict) and rows and all(isinstance(column, list) for column in rows.values()):
        lengths = {len(column) for column in rows.values()}
        return {name: column[:1] for name, column in rows.items()} if len(lengths) == 1 else rows
    return rows
