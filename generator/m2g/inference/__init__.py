"""Signature and input example → one request that the model's server takes, for each protocol."""

from __future__ import annotations

from typing import Literal, assert_never

import msgspec

from m2g.core.config_types import Protocol
from m2g.core.errors import InputError
from m2g.core.model import Mlmodel, Value
from m2g.inference import invocations, json_format, limits, v2
from m2g.inference.example import make_agent_example, read
from m2g.inference.sample import Sample, make_sample, make_untyped_sample
from m2g.inference.tensor import DATATYPES

__all__ = ["Protocol", "Request", "drop_example", "find_path", "keep_request_facts", "make_request"]

_LOG = "log it again with signature=infer_signature(example, model.predict(example)) and input_example=example"
_LARGEST = 16 << 20
"""Bytes of a body; a signature of a megabyte makes a few."""


class Request(Value, frozen=True, kw_only=True):
    """One sample body; empty where none can be made, and the notes say why. `origin` is where its values are from."""

    protocol: Protocol
    body: str
    notes: tuple[str, ...] = ()
    origin: Literal["example", "signature", "none"]


def find_path(slug: str, protocol: Protocol) -> str:
    """Where a deployed model of this name is asked."""
    match protocol:
        case "v2":
            return f"/v2/models/{slug}/infer"
        case "v1":
            return f"/v1/models/{slug}:predict"
        case "invocations":
            return "/invocations"
        case _:
            assert_never(protocol)


def make_request(mlmodel: Mlmodel, protocol: Protocol) -> Request:
    """The sample request of a model in a protocol.

    Raises InputError where the input example contradicts the signature, or is nothing that MLflow writes.
    """
    try:
        return _request(mlmodel, protocol)
    except RecursionError:
        raise InputError("the input example is nested too deep", hint="log the model with a flatter example") from None


def keep_request_facts(mlmodel: Mlmodel) -> Mlmodel:
    """The part of a model that its requests depend on; most versions of a model are alike in it."""
    return Mlmodel(
        sha256="",
        flavors=mlmodel.flavors,
        loader_module=mlmodel.loader_module,
        signature=mlmodel.signature,
        task=mlmodel.task,
        example=mlmodel.example,
    )


def drop_example(mlmodel: Mlmodel) -> Mlmodel:
    """The model as if it had been logged without an input example: the request's values are made up."""
    return msgspec.structs.replace(mlmodel, example="")


def _request(mlmodel: Mlmodel, protocol: Protocol) -> Request:
    example = read(mlmodel.example)
    signature = mlmodel.signature
    limited = tuple(limits.find_v2_limits(mlmodel)) if protocol == "v2" else ()
    if signature is None or not signature.inputs:
        missing = "the model has no signature, so its server checks nothing and types are guessed"
        if example is None:
            note = f"the model has no signature and no input example: m2g cannot know what it takes; {_LOG}"
            return Request(protocol=protocol, body="", notes=(note, *limited), origin="none")
        return _made(make_untyped_sample(example), protocol, (f"{missing}; {_LOG}", *limited))
    found = make_sample(signature, example or make_agent_example(mlmodel))
    if found is not None and example is None:
        found = msgspec.structs.replace(found, origin="signature")
    if found is None:
        note = "one row has more than a million values: log the model with an input example"
        return Request(protocol=protocol, body="", notes=(note, *limited), origin="none")
    return _made(found, protocol, limited)


def _made(found: Sample, protocol: Protocol, limited: tuple[str, ...]) -> Request:
    said: tuple[str, ...] = ()
    match protocol:
        case "v2":
            if any(tensor.dtype not in DATATYPES for tensor in found.tensors):
                return Request(protocol=protocol, body="", notes=limited, origin="none")
            body, said = v2.make_body(found)
        case "invocations":
            body = invocations.make_invocations_body(found)
        case "v1":
            body, said = invocations.make_v1_body(found)
        case _:
            assert_never(protocol)
    text = json_format.format_body(body)
    notes = (*limited, *found.notes, *said)
    if len(text) > _LARGEST:
        note = "the request is larger than 16 MiB: the signature has that many inputs"
        return Request(protocol=protocol, body="", notes=(note, *notes), origin="none")
    return Request(protocol=protocol, body=text, notes=notes, origin=found.origin)
