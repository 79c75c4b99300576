"""Signatures and answers: what MLServer cannot start with, and what it cannot put into an answer of V2."""

from __future__ import annotations

from collections.abc import Iterator

from m2g.compat.reason import CheckResult, ModelOnRuntime
from m2g.core.model import Field

_NO_V2 = {"prophet": "data frames with datetimes", "statsmodels": "a pandas Series"}
"""Flavors whose answers MLServer cannot encode, whatever the request (measured with 1.7.1)."""
_SERVER = "mlserver"
_INVOCATIONS = "set profile: mlflow-image: MLflow's own server answers them by /invocations"


def check_signature(case: ModelOnRuntime) -> Iterator[CheckResult]:
    """What concerns MLServer alone: no other server reads the signature."""
    if case.runtime.loads != "pyfunc" or case.runtime.has(_SERVER) is False:
        return
    yield from _flavors(case)
    signature = case.mlmodel.signature
    if signature is None or signature.inputs is None:
        text = "the model has no signature: each caller must name the content type of the whole request"
        yield CheckResult(answer="serves", text=text, fix="log it with a signature (mlflow.models.infer_signature)")
    elif signature.outputs is None:
        text = "its signature has inputs and no outputs, with which MLServer does not start"
        yield CheckResult(answer="fails", text=text, fix="log it with infer_signature(inputs, outputs), or with none")
    elif case.library is None:
        yield from _outputs(signature.outputs)


def _flavors(case: ModelOnRuntime) -> Iterator[CheckResult]:
    for name, what in _NO_V2.items():
        if name in case.flavors:
            text = f"{name} answers {what}, which MLServer cannot send by V2"
            yield CheckResult(answer="fails", text=text, fix=_INVOCATIONS)
    if case.mlmodel.task.startswith("agent/"):
        text = f"the task {case.mlmodel.task[:50]} answers nested objects, which MLServer cannot send by V2"
        yield CheckResult(answer="fails", text=text, fix=_INVOCATIONS)


def _outputs(fields: tuple[Field, ...]) -> Iterator[CheckResult]:
    """Of a pyfunc of one's own: a library's flavor answers arrays, whatever its signature was inferred from."""
    for field in fields:
        if field.type == "datetime":
            text = f"the output {field.name!r} is a datetime, which MLServer cannot send by V2"
            yield CheckResult(answer="fails", text=text, fix=f"answer text; or {_INVOCATIONS}")
        elif field.type.startswith(("object{", "map<", "any")) or (not field.name and field.type.startswith("array<")):
            text = f"the output {field.name!r} is {field.type[:60]}; MLServer sends by V2 only columns of a data frame"
            yield CheckResult(answer="unknown", text=text, fix=_INVOCATIONS)
        elif not field.name and field.shape is None and field.type != "string":
            text = f"the output is one {field.type}: a numpy array is sent by V2, a pandas Series or a list is not"
            yield CheckResult(
                answer="unknown", text=text, fix=f"answer a numpy array or a data frame; or {_INVOCATIONS}"
            )
