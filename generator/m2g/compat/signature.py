"""Check the signature and the answers: what MLServer cannot load, and what it cannot encode in V2."""

from __future__ import annotations

from collections.abc import Iterator

from m2g.compat.reason import CheckResult, ModelOnRuntime
from m2g.compat.runtime import Runtime
from m2g.core.model import Field, Mlmodel

_NO_V2 = {"prophet": "data frames with datetimes", "statsmodels": "a pandas Series"}
"""Flavors whose answers MLServer cannot encode (tested with 1.7.1)."""
_SERVER = "mlserver"
_INVOCATIONS = "set profile: mlflow-image (`m2g image` prepares it), because MLflow's own server can encode them"
_ANY_MLSERVER = Runtime(name="MLServer", packages={_SERVER: ""})


def check_signature(case: ModelOnRuntime) -> Iterator[CheckResult]:
    """Checks for MLServer, the only server that reads the signature."""
    if case.runtime.loads != "pyfunc" or case.runtime.has(_SERVER) is False:
        return
    yield from _flavors(case)
    signature = case.mlmodel.signature
    if signature is None or signature.inputs is None:
        text = "the model has no signature, so each request must set the content type"
        yield CheckResult(answer="serves", text=text, fix="log it with a signature (mlflow.models.infer_signature)")
    elif signature.outputs is None:
        text = "its signature has inputs but no outputs, so MLServer cannot load it"
        yield CheckResult(
            answer="fails", text=text, fix="log it with infer_signature(inputs, outputs), or without a signature"
        )
    elif case.library is None:
        yield from _outputs(signature.outputs)


def explain_no_answer(mlmodel: Mlmodel) -> CheckResult | None:
    """Why no MLServer answers for the model, whatever packages its image has; None if nothing is known against it."""
    case = ModelOnRuntime(mlmodel=mlmodel, runtime=_ANY_MLSERVER)
    return next((result for result in check_signature(case) if result.answer == "fails"), None)


def _flavors(case: ModelOnRuntime) -> Iterator[CheckResult]:
    for name, what in _NO_V2.items():
        if name in case.flavors:
            text = f"{name} returns {what}, which MLServer cannot encode in V2"
            yield CheckResult(answer="fails", text=text, fix=_INVOCATIONS)
    if case.mlmodel.task.startswith("agent/"):
        text = f"the task {case.mlmodel.task[:50]} returns nested objects, which MLServer cannot encode in V2"
        yield CheckResult(answer="fails", text=text, fix=_INVOCATIONS)


def _outputs(fields: tuple[Field, ...]) -> Iterator[CheckResult]:
    """Checks for the author's own pyfunc. The flavor of a library always returns arrays."""
    for field in fields:
        if field.type == "datetime":
            text = f"the output {field.name!r} is a datetime, which MLServer cannot encode in V2"
            yield CheckResult(answer="fails", text=text, fix=f"return text; or {_INVOCATIONS}")
        elif field.type.startswith(("object{", "map<", "any")) or (not field.name and field.type.startswith("array<")):
            text = (
                f"the output {field.name!r} is {field.type[:60]}; in V2, MLServer encodes only columns of a data frame"
            )
            yield CheckResult(answer="unknown", text=text, fix=_INVOCATIONS)
        elif not field.name and field.shape is None and field.type != "string":
            text = f"the output is one {field.type}: V2 can encode a numpy array, but not a pandas Series or a list"
            yield CheckResult(
                answer="unknown", text=text, fix=f"return a numpy array or a data frame; or {_INVOCATIONS}"
            )
