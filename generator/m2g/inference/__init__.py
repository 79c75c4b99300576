"""Make a sample request from a model's signature and input example, for each protocol."""

from __future__ import annotations

from typing import Literal, assert_never

import msgspec

from m2g.core.errors import InputError
from m2g.core.model import Mlmodel, Protocol, Value
from m2g.inference import invocations, json_format, limits, v2
from m2g.inference.example import make_agent_example, read
from m2g.inference.sample import Sample, make_sample, make_untyped_sample
from m2g.inference.tensor import DATATYPES

__all__ = ["Protocol", "Request", "drop_example", "find_path", "keep_request_facts", "make_request"]

_LOG = "log it again with signature=infer_signature(example, model.predict(example)) and input_example=example"
_LARGEST = 16 << 20
"""Maximum bytes of a body. A signature of one megabyte produces a few."""


class Request(Value, frozen=True, kw_only=True):
    """A sample request. If no `body` can be made, it is empty and the notes say why. `origin` is the source of its
    values."""

    protocol: Protocol
    body: str
    notes: tuple[str, ...] = ()
    origin: Literal["example", "signature", "none"]


def find_path(slug: str, protocol: Protocol) -> str:
    """The URL path for requests to the deployed model `slug`."""
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

    Raises InputError if the input example does not fit the signature, or if MLflow could not have written it.
    """
    try:
        return _request(mlmodel, protocol)
    except RecursionError:
        raise InputError(
            "the input example is nested too deeply", hint="log the model with a flatter example"
        ) from None


def keep_request_facts(mlmodel: Mlmodel) -> Mlmodel:
    """The facts of a model that its sample requests depend on. Most versions of a model share them."""
    return Mlmodel(
        sha256="",
        flavors=mlmodel.flavors,
        loader_module=mlmodel.loader_module,
        signature=mlmodel.signature,
        task=mlmodel.task,
        example=mlmodel.example,
    )


def drop_example(mlmodel: Mlmodel) -> Mlmodel:
    """The model without its input example, so that the values of a request are made up."""
    return msgspec.structs.replace(mlmodel, example="")


def _request(mlmodel: Mlmodel, protocol: Protocol) -> Request:
    example = read(mlmodel.example)
    signature = mlmodel.signature
    limit_notes = tuple(limits.find_v2_limits(mlmodel)) if protocol == "v2" else ()
    if signature is None or not signature.inputs:
        missing = "the model has no signature, so its server checks nothing and m2g guesses the types"
        if example is None:
            note = f"the model has no signature and no input example: m2g cannot know what it takes; {_LOG}"
            return Request(protocol=protocol, body="", notes=(note, *limit_notes), origin="none")
        return _make(make_untyped_sample(example), protocol, (f"{missing}; {_LOG}", *limit_notes))
    sample = make_sample(signature, example or make_agent_example(mlmodel))
    if sample is not None and example is None:
        sample = msgspec.structs.replace(sample, origin="signature")
    if sample is None:
        note = "one row has more than a million values: log the model with an input example"
        return Request(protocol=protocol, body="", notes=(note, *limit_notes), origin="none")
    return _make(sample, protocol, limit_notes)


def _make(sample: Sample, protocol: Protocol, limit_notes: tuple[str, ...]) -> Request:
    body_notes: tuple[str, ...] = ()
    match protocol:
        case "v2":
            if any(tensor.dtype not in DATATYPES for tensor in sample.tensors):
                return Request(protocol=protocol, body="", notes=limit_notes, origin="none")
            body, body_notes = v2.make_body(sample)
        case "invocations":
            body = invocations.make_invocations_body(sample)
        case "v1":
            body, body_notes = invocations.make_v1_body(sample)
        case _:
            assert_never(protocol)
    text = json_format.format_body(body)
    notes = (*limit_notes, *sample.notes, *body_notes)
    if len(text) > _LARGEST:
        note = "the request is larger than 16 MiB, because the signature has too many inputs"
        return Request(protocol=protocol, body="", notes=(note, *notes), origin="none")
    return Request(protocol=protocol, body=text, notes=notes, origin=sample.origin)
