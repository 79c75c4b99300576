"""The sample request (models/<slug>/requests/<env>.json) for a deployed model, ready for `curl -d @file`."""

from __future__ import annotations

import functools
import json

import msgspec

from m2g.core.config_types import Requests
from m2g.core.errors import InputError
from m2g.core.model import Mlmodel, Protocol, Value
from m2g.inference import Request, drop_example, keep_request_facts, make_request

_MAX_BYTES = 256 << 10
"""The largest sample request that m2g writes to Git."""
_ENVELOPES = ("inputs", "instances", "dataframe_split")


class Sample(Value, frozen=True, kw_only=True):
    """The text of the file; if it is empty, the notes say why. `known` tells whether there is a request body at all."""

    known: bool = True
    text: str = ""
    notes: tuple[str, ...] = ()


def make_sample(mlmodel: Mlmodel | None, protocol: Protocol, requests: Requests) -> Sample:
    """The sample request of one version.

    An example that contradicts its signature is not used; `m2g render` warns about it.
    """
    return _make_sample(None if mlmodel is None else keep_request_facts(mlmodel), protocol, requests)


@functools.lru_cache(maxsize=4)  # the versions of a model often have the same signature and example
def _make_sample(mlmodel: Mlmodel | None, protocol: Protocol, requests: Requests) -> Sample:
    if mlmodel is None:
        return Sample(known=False, notes=("the model's inputs are not known: its version has no MLmodel file",))
    request = _make_request(mlmodel, protocol, requests)
    if not request.body:
        return Sample(known=False, notes=request.notes)
    if len(request.body) > _MAX_BYTES:
        note = f"the request is larger than {_MAX_BYTES >> 10} KiB, so m2g does not write it to a file"
        return Sample(notes=(note, *request.notes))
    if not any(key in json.loads(request.body) for key in _ENVELOPES):
        # The body is the model's input, and the server would pass m2g's stamp to the model.
        return Sample(notes=("the request has no place for m2g's stamp, so m2g does not write it to a file",))
    return Sample(text=request.body, notes=request.notes)


def _make_request(mlmodel: Mlmodel, protocol: Protocol, requests: Requests) -> Request:
    if requests.values == "generated":
        return make_request(drop_example(mlmodel), protocol)
    try:
        return make_request(mlmodel, protocol)
    except InputError as error:
        request = make_request(drop_example(mlmodel), protocol)
        return msgspec.structs.replace(request, notes=(error.message, *request.notes))
