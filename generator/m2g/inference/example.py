"""Read the first row of a serving input example, in any of the forms in which MLflow saves it."""

from __future__ import annotations

import json
import math
from typing import Literal

from m2g.core.errors import InputError
from m2g.core.model import Mlmodel, Value
from m2g.inference.type_parser import Json

_LLM = ("messages", "prompt", "input")
"""Keys by which MLflow's scoring server recognizes a body without an envelope (serving_data_parser)."""
_BROKEN = "log the model again with input_example=…, or without one: then m2g makes up values from the signature"


class Example(Value, frozen=True, kw_only=True):
    """One row of an input example.

    `form` is the form of `value`: `row` maps column to cell, `cells` is a list without names, `values` is the value of
    `inputs` or `instances`, and `whole` is a body without an envelope (chat, completions, embeddings).
    """

    form: Literal["row", "cells", "values", "whole"]
    value: Json
    params: dict[str, Json] = {}


_TURN: Json = [{"role": "user", "content": "Hello!"}]
_AGENTS: dict[str, dict[str, Json]] = {"chat": {"messages": _TURN}, "responses": {"input": _TURN}}
_LOADERS = {"chat_model": "chat", "chat_agent": "chat", "responses_agent": "responses"}


def find_agent_kind(mlmodel: Mlmodel) -> str:
    """`chat` or `responses`, the interface of an agent; empty for any other model. MLflow 2.19 did not write a task."""
    kind, _, interface = mlmodel.task.partition("/")
    name = interface.rpartition("/")[2] if kind == "agent" else _LOADERS.get(mlmodel.loader_module.rpartition(".")[2])
    return name if name in _AGENTS else ""


def make_agent_example(mlmodel: Mlmodel) -> Example | None:
    """An example for an agent, whose signature has no example values; None for any other model."""
    kind = find_agent_kind(mlmodel)
    return Example(form="whole", value=_AGENTS[kind]) if kind else None


def read(text: str) -> Example | None:
    """Parse the example of a record; None if there is none. Raises InputError for an invalid example."""
    if not text:
        return None
    try:
        body: Json = _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        sentence = str(error).splitlines()[0][:120]
        raise InputError(f"the input example is not valid JSON: {sentence}", hint=_BROKEN) from error
    if not isinstance(body, dict):
        raise InputError("the input example is not a JSON object, as MLflow saves it", hint=_BROKEN)
    params = body.get("params")
    return _example(body, params if isinstance(params, dict) else {})


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


_DECODER = json.JSONDecoder(parse_constant=lambda _: None, parse_float=_finite)
"""NaN and infinities are not valid JSON, but MLflow writes them. Servers treat null as NaN."""


def _example(body: dict[str, Json], params: dict[str, Json]) -> Example:
    match body:
        case {"dataframe_split": {"data": [list(row), *_], "columns": list(columns)}}:
            return _split(columns, row, params)
        case {"dataframe_split": {"data": [list(row), *_]}}:
            return Example(form="cells", value=row, params=params)
        case {"dataframe_records": [dict(row), *_]}:
            return Example(form="row", value=row, params=params)
        case {"inputs": value} | {"instances": value}:
            return Example(form="values", value=value, params=params)
        case _ if any(key in body for key in _LLM):
            return Example(form="whole", value=body)
        case _:
            raise InputError("the input example has no row", hint=_BROKEN)


def _split(columns: list[Json], row: list[Json], params: dict[str, Json]) -> Example:
    if len(columns) != len(row):
        raise InputError(f"the input example has {len(columns)} columns and {len(row)} values", hint=_BROKEN)
    if columns and all(isinstance(name, str) for name in columns):
        named = {str(name): cell for name, cell in zip(columns, row, strict=True)}
        return Example(form="row", value=named, params=params)
    return Example(form="cells", value=row, params=params)


def take_cell(value: Json, *, is_list: bool) -> Json:
    """The first value of a column, as `inputs` can contain the whole column. `is_list`: a value is itself a list."""
    if isinstance(value, list) and not is_list:
        return value[0] if value else None
    return value
