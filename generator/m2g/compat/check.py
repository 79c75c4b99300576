"""Whether a runtime loads a model and answers for it: the record's facts against the runtime's, nothing is run."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from m2g.compat import code, formats, libraries, signature, size
from m2g.compat.reason import CheckResult, ModelOnRuntime
from m2g.compat.runtime import Runtime
from m2g.compat.verdict import Reason, Verdict
from m2g.core.model import Mlmodel

STORAGE_INITIALIZER = size.STORAGE_INITIALIZER
"""Under this name `limits` may say how much memory KServe's storage initializer has; by default 1Gi."""
_GROUNDS: Sequence[Callable[[ModelOnRuntime], Iterator[CheckResult]]] = (
    formats.check_formats,
    code.check_code,
    libraries.check_libraries,
    signature.check_signature,
)
_WAYS = "set profile: mlserver-image or mlflow-image (`m2g image` prepares an image with the model's own environment)"


def check_runtime(mlmodel: Mlmodel, runtime: Runtime, limits: Mapping[str, str]) -> Verdict:
    """What is known before anybody tries.

    `limits` are the container's, as Kubernetes writes them (`memory`). A reason of a verdict `serves` is a remark.
    """
    shared = msgspec.structs.replace(mlmodel, sha256="", size_bytes=None, example="", with_example=mlmodel.has_example)
    found = [*_grounds(shared, runtime), *size.check_size(mlmodel, runtime, limits)]
    answer = next((word for word in ("fails", "unknown") if any(one.answer == word for one in found)), "serves")
    order = ("fails", "unknown", "serves")
    reasons = (
        Reason(text=one.text, fix=one.fix or _WAYS) for one in sorted(found, key=lambda one: order.index(one.answer))
    )
    match answer:
        case "fails":
            return Verdict(answer="fails", runtime=runtime.name, reasons=tuple(reasons))
        case "unknown":
            return Verdict(answer="unknown", runtime=runtime.name, reasons=tuple(reasons))
        case _:
            return Verdict(answer="serves", runtime=runtime.name, reasons=tuple(reasons))


@functools.lru_cache(maxsize=1 << 6)  # most versions of a model are alike in all but digest, size and example
def _grounds(mlmodel: Mlmodel, runtime: Runtime) -> tuple[CheckResult, ...]:
    case = ModelOnRuntime(mlmodel=mlmodel, runtime=runtime)
    return tuple(ground for look in _GROUNDS for ground in look(case))
