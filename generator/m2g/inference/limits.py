"""Find limits of MLServer that the MLmodel file already shows: models that it cannot load or answer for."""

from __future__ import annotations

from collections.abc import Iterator

from m2g.core.model import Mlmodel, Signature
from m2g.inference.example import find_agent_kind
from m2g.inference.tensor import DATATYPES
from m2g.inference.type_parser import parse

_ELSEWHERE = "MLflow's own server can (profile: mlflow-image, path /invocations)"
_SERIES = frozenset(("prophet", "statsmodels", "pmdarima"))
"""Flavors that return a pandas Series or datetimes. MLServer can encode neither."""


def find_v2_limits(mlmodel: Mlmodel) -> Iterator[str]:
    """Reasons why MLServer 1.7.1 cannot load the model or encode its answer (its codecs, and mlserver_mlflow's
    metadata)."""
    signature = mlmodel.signature
    if signature is not None and signature.inputs is not None and signature.outputs is None:
        yield (
            "MLServer cannot load a model whose signature has no outputs: log it again with "
            "signature=infer_signature(example, model.predict(example))"
        )
    for side, field in _dtypes(signature):
        yield f"MLServer cannot load a model with {side} of dtype {field[:40]}; {_ELSEWHERE}"
    if any(f.shape is not None and f.type == "object" for f in (signature.inputs or () if signature else ())):
        yield f"MLServer converts an input of dtype object to text, which the signature rejects; {_ELSEWHERE}"
    if find_agent_kind(mlmodel):
        yield f"MLServer cannot encode the answer of an agent ({find_agent_kind(mlmodel)}); {_ELSEWHERE}"
        return
    flavors = sorted(_SERIES & {flavor.name for flavor in mlmodel.flavors})
    if flavors:
        yield f"MLServer cannot encode the answer of a {flavors[0]} model (a Series, datetimes); {_ELSEWHERE}"
        return
    yield from _outputs(signature)


def _dtypes(signature: Signature | None) -> Iterator[tuple[str, str]]:
    if signature is None:
        return
    for side, fields in (("inputs", signature.inputs), ("outputs", signature.outputs)):
        for dtype in sorted({f.type for f in fields or () if f.shape is not None} - set(DATATYPES)):
            yield side, dtype


def _outputs(signature: Signature | None) -> Iterator[str]:
    columns = [field for field in (signature.outputs or () if signature else ()) if field.shape is None]
    dated = [field.name for field in columns if parse(field.type).name == "datetime"]
    if dated:
        yield f"MLServer cannot encode the datetimes of output {dated[0][:80]!r}; {_ELSEWHERE}"
    if len(columns) != 1 or columns[0].name:
        return
    type_name = parse(columns[0].type).name
    if type_name not in ("string", "datetime"):
        yield (
            f"MLServer needs a model that returns an array: an output without a name ({type_name}) may be a Series "
            f"or a list, which it cannot encode; {_ELSEWHERE}"
        )
