"""The request bodies of a smoke test: the model's sample request, for the server and for pyfunc."""

from __future__ import annotations

import json

from m2g.core.errors import InputError
from m2g.core.model import Mlmodel, Value
from m2g.inference import Protocol, make_request


class Payload(Value, frozen=True, kw_only=True):
    """The same rows in two protocols: the server's, and MLflow's /invocations for pyfunc.

    `by_grpc` tells whether gRPC can carry all of it: gRPC parameters are booleans, integers or strings.
    """

    by_grpc: bool
    body: str
    invocations: str
    notes: tuple[str, ...] = ()


def make_payload(mlmodel: Mlmodel, name: str, protocol: Protocol) -> Payload:
    """The payload for a model. Raises InputError if there is none, or if example and signature disagree."""
    try:
        own, invocations = make_request(mlmodel, protocol), make_request(mlmodel, "invocations")
    except InputError as error:
        raise InputError(f"{name}: {error.message}", hint=error.hint) from error
    if not own.body or not invocations.body:
        hint = "log the model again with signature=… and input_example=…; m2g makes the request from them"
        raise InputError(f"{name} has no request to send: {(*own.notes, *invocations.notes)[0]}", hint=hint)
    notes = list(own.notes)
    if own.origin == "signature":
        notes.insert(0, "the values in the request are invented: the model has no input example")
    dropped = _dropped_by_grpc(own.body) if protocol == "v2" else []
    if dropped:
        notes.append(f"not tested by gRPC, which cannot carry the parameter {dropped[0][:80]}")
    return Payload(body=own.body, invocations=invocations.body, by_grpc=not dropped, notes=tuple(notes))


def _dropped_by_grpc(body: str) -> list[str]:
    """Parameters that MLServer's gRPC client drops silently (mlserver.grpc.converters, 1.7.1)."""
    parameters = json.loads(body).get("parameters", {})
    return [name for name, value in parameters.items() if not isinstance(value, bool | int | str)]
