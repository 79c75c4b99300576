"""The bodies that a smoke test sends: the model's sample request, for the server and for pyfunc."""

from __future__ import annotations

import json

from m2g.core.errors import InputError
from m2g.core.model import Mlmodel, Value
from m2g.inference import Protocol, make_request


class Question(Value, frozen=True, kw_only=True):
    """The same row in two protocols: the server's, and MLflow's own, which pyfunc is asked in.

    `by_grpc` is whether gRPC carries all of it: of parameters, booleans, integers and texts alone.
    """

    by_grpc: bool
    body: str
    invocations: str
    notes: tuple[str, ...] = ()


def question(mlmodel: Mlmodel, name: str, protocol: Protocol) -> Question:
    """Raises InputError that names the model where nothing can be asked, or example and signature do not agree."""
    try:
        asked, own = make_request(mlmodel, protocol), make_request(mlmodel, "invocations")
    except InputError as error:
        raise InputError(f"{name}: {error.message}", hint=error.hint) from error
    if not asked.body or not own.body:
        hint = "log it with signature=… and input_example=…: by them m2g knows what to ask"
        raise InputError(f"{name} cannot be asked: {(*asked.notes, *own.notes)[0]}", hint=hint)
    made_up = ("the values sent are made up: the model has no input example",) if asked.origin == "signature" else ()
    unsaid = _unsaid_by_grpc(asked.body) if protocol == "v2" else []
    left = (f"not asked by gRPC, which carries no parameter such as {unsaid[0][:80]}",) if unsaid else ()
    notes = (*made_up, *asked.notes, *left)
    return Question(body=asked.body, invocations=own.body, by_grpc=not unsaid, notes=notes)


def _unsaid_by_grpc(body: str) -> list[str]:
    """Parameters that MLServer's gRPC client drops without a word (mlserver.grpc.converters, 1.7.1)."""
    made = json.loads(body)
    return [name for name, value in made.get("parameters", {}).items() if not isinstance(value, bool | int | str)]
