"""models/<slug>/requests/<env>.json: a request that the deployed model answers, ready for `curl -d @file`."""

from __future__ import annotations

import functools
import json

import msgspec

from m2g.core.config_types import Protocol, Requests
from m2g.core.errors import InputError
from m2g.core.model import Mlmodel, Value
from m2g.inference import Request, drop_example, keep_request_facts, make_request

_LARGEST = 256 << 10
"""Bytes of a file that is worth a place in Git."""
_ENVELOPES = ("inputs", "instances", "dataframe_split")


class Sample(Value, frozen=True, kw_only=True):
    """The file's text, empty where there is none; the notes say why, and what else is to know.

    `known` is whether there is a body, be it in a file or not.
    """

    known: bool = True
    text: str = ""
    notes: tuple[str, ...] = ()


def sample(mlmodel: Mlmodel | None, protocol: Protocol, requests: Requests) -> Sample:
    """The sample of one version.

    An example that contradicts its signature is not used; `m2g render` warns of it.
    """
    return _sample(None if mlmodel is None else keep_request_facts(mlmodel), protocol, requests)


@functools.lru_cache(maxsize=4)  # the versions of a model are mostly asked alike
def _sample(mlmodel: Mlmodel | None, protocol: Protocol, requests: Requests) -> Sample:
    if mlmodel is None:
        return Sample(known=False, notes=("nobody knows what the model takes: its version has no MLmodel file",))
    made = _request(mlmodel, protocol, requests)
    if not made.body:
        return Sample(known=False, notes=made.notes)
    if len(made.body) > _LARGEST:
        return Sample(notes=(f"the request is larger than {_LARGEST >> 10} KiB, so it is in no file", *made.notes))
    if not any(key in json.loads(made.body) for key in _ENVELOPES):
        # Such a body is the model's input itself: a server would hand it the stamp, too.
        return Sample(notes=("the body is the input itself, with no place for m2g's mark, so it is in no file",))
    return Sample(text=made.body, notes=made.notes)


def _request(mlmodel: Mlmodel, protocol: Protocol, requests: Requests) -> Request:
    if requests.values == "generated":
        return make_request(drop_example(mlmodel), protocol)
    try:
        return make_request(mlmodel, protocol)
    except InputError as error:
        made = make_request(drop_example(mlmodel), protocol)
        return msgspec.structs.replace(made, notes=(error.message, *made.notes))
