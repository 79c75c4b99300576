"""The bodies that a smoke test sends: the model's sample request, for the server and for pyfunc."""

from __future__ import annotations

from m2g.errors import InputError
from m2g.model import Mlmodel, Value
from m2g.request import Protocol, request


class Question(Value, frozen=True, kw_only=True):
    """The same row in two protocols: the server's, and MLflow's own, which pyfunc is asked in."""

    body: str
    invocations: str
    notes: tuple[str, ...] = ()


def question(mlmodel: Mlmodel, name: str, protocol: Protocol) -> Question:
    """Raises InputError that names the model where nothing can be asked, or example and signature do not agree."""
    try:
        asked, own = request(mlmodel, protocol), request(mlmodel, "invocations")
    except InputError as error:
        raise InputError(f"{name}: {error.message}", hint=error.hint) from error
    if not asked.body or not own.body:
        hint = "log it with signature=… and input_example=…: by them m2g knows what to ask"
        raise InputError(f"{name} cannot be asked: {(*asked.notes, *own.notes)[0]}", hint=hint)
    made_up = ("the values sent are made up: the model has no input example",) if asked.origin == "signature" else ()
    return Question(body=asked.body, invocations=own.body, notes=(*made_up, *asked.notes))
