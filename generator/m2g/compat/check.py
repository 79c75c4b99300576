"""Check whether a runtime can load a model and answer for it, from the facts of both. Nothing is run."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from m2g.compat import code, formats, libraries, signature, size
from m2g.compat.reason import PYFUNC, CheckResult, ModelOnRuntime
from m2g.compat.runtime import Runtime
from m2g.compat.verdict import Reason, Verdict
from m2g.core.model import Mlmodel

STORAGE_INITIALIZER = size.STORAGE_INITIALIZER
"""The key in `limits` for the memory of KServe's storage initializer. The default is 1Gi."""
_CHECKS: Sequence[Callable[[ModelOnRuntime], Iterator[CheckResult]]] = (
    signature.check_signature,  # first, because its fix is the one that no image of MLServer replaces
    formats.check_formats,
    code.check_code,
    libraries.check_libraries,
)
_FIX = "set profile: mlserver-image or mlflow-image (`m2g image` prepares an image with the model's environment)"
_FIX_WITHOUT_MLSERVER = "set profile: mlflow-image (`m2g image` prepares an image with the model's environment)"
_ENVIRONMENT = "environment.tar.gz beside the model replaces the packages of"
_TEST_IT = "try it in an environment that may fail; without environment.tar.gz, m2g checks the runtime's packages"
_UNSEEN = (
    "m2g does not see what is in it: it needs mlserver, mlserver-mlflow and the model's packages, packed with "
    "conda-pack on Linux for the processor of the nodes"
)


def check_runtime(mlmodel: Mlmodel, runtime: Runtime, limits: Mapping[str, str]) -> Verdict:
    """The verdict from the facts, before anything is run.

    `limits` are the limits of the container, as Kubernetes quantities (`memory`). A reason with the answer `serves` is
    only a note.
    """
    shared = msgspec.structs.replace(mlmodel, sha256="", size_bytes=None, example="", with_example=mlmodel.has_example)
    results = [*_check(shared, runtime), *size.check_size(mlmodel, runtime, limits)]
    results.sort(key=lambda result: ("fails", "unknown", "serves").index(result.answer))
    fix = _FIX_WITHOUT_MLSERVER if signature.explain_no_answer(mlmodel) else _FIX
    reasons = tuple(Reason(text=result.text, fix=result.fix or fix) for result in results)
    return Verdict(answer=results[0].answer if results else "serves", runtime=runtime.name, reasons=reasons)


def explain_no_image(mlmodel: Mlmodel, limits: Mapping[str, str]) -> CheckResult | None:
    """Why no image with the model's own packages would serve it, whatever its server; None if nothing is known."""
    if all(flavor.name != PYFUNC for flavor in mlmodel.flavors):
        text = "the model has no python_function flavor, which every server of MLflow models needs"
        return CheckResult(answer="fails", text=text, fix="log it with a flavor that adds python_function")
    if mlmodel.requirements is None:
        text = "its requirements are not known yet"
        return CheckResult(answer="fails", text=text, fix="run `m2g render`, which reads them from the registry")
    if not mlmodel.requirements:
        text = "its requirements are not known, so no image can be built for it"
        return CheckResult(answer="fails", text=text, fix="log it again with pip_requirements")
    sizes = size.check_size(mlmodel, Runtime(name="an image"), limits)
    return next((result for result in sizes if result.answer == "fails"), None)


@functools.lru_cache(maxsize=1 << 6)  # most versions of a model differ only in digest, size and example
def _check(mlmodel: Mlmodel, runtime: Runtime) -> tuple[CheckResult, ...]:
    case = ModelOnRuntime(mlmodel=mlmodel, runtime=runtime)
    if mlmodel.packed_environment and runtime.loads == "pyfunc" and runtime.has("mlserver"):
        text = f"{_ENVIRONMENT} {runtime.name}; {_UNSEEN}"
        return (*signature.check_signature(case), CheckResult(answer="unknown", text=text, fix=_TEST_IT))
    return tuple(result for check in _CHECKS for result in check(case))
