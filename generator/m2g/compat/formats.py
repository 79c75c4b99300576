"""Check whether the runtime can read the saved file and its serialization format."""

from __future__ import annotations

from collections.abc import Iterator

from m2g.compat.reason import PYFUNC, CheckResult, ModelOnRuntime, find_format
from m2g.compat.requirement import parse_version

_SINCE = {"skops": (3, 9), "pt2": (3, 14)}
"""The first mlflow that supports a format (found by bisecting its wheels)."""
_NEEDS = {"skops": "skops", "pt2": "torch", "cloudpickle": "cloudpickle"}
_OTHER_FORMAT = "log it with serialization_format='cloudpickle'"


def check_formats(case: ModelOnRuntime) -> Iterator[CheckResult]:
    """The checks for the way in which the runtime loads models."""
    match case.runtime.loads:
        case "pyfunc":
            yield from _pyfunc(case)
        case "file":
            yield from _file(case)
        case "hub":
            yield from _hub(case)


def _pyfunc(case: ModelOnRuntime) -> Iterator[CheckResult]:
    if PYFUNC not in case.flavors:
        text = "the model has no python_function flavor, which MLServer needs"
        yield CheckResult(answer="fails", text=text, fix="log it with a flavor that adds python_function")
        return
    has = parse_version(case.runtime.version("mlflow"))
    for flavor in case.mlmodel.flavors:
        saved = find_format(flavor)
        since = _SINCE.get(saved)
        if since is None:
            continue
        fix = _OTHER_FORMAT if saved == "skops" else "log it with serialization_format='pickle'"
        what = f"{flavor.name} was saved as {saved}"
        if has and has < since:
            version = ".".join(map(str, has))
            text = f"{what}, which needs mlflow {since[0]}.{since[1]}; {case.runtime.name} has {version}"
            yield CheckResult(answer="fails", text=text, fix=fix)
        elif not has:
            text = f"{what}; the mlflow version of {case.runtime.name} is unknown"
            yield CheckResult(answer="unknown", text=text, fix=fix)
        elif case.runtime.has(_NEEDS[saved]) is False:
            text = f"{what}, but {case.runtime.name} does not have the package {_NEEDS[saved]}"
            yield CheckResult(answer="fails", text=text, fix=fix)


def _file(case: ModelOnRuntime) -> Iterator[CheckResult]:
    for name, endings in case.runtime.files.items():
        flavor = case.flavors.get(name)
        if flavor is None:
            continue
        if not flavor.file:
            yield CheckResult(answer="unknown", text=f"the file that {name} saved is unknown", fix="run `m2g render`")
        elif not flavor.file.endswith(endings) or "/" in flavor.file:
            text = f"{case.runtime.name} reads one file {', '.join(endings)}; the model is {flavor.file}"
            fix = _OTHER_FORMAT if name == "sklearn" else ""
            yield CheckResult(answer="fails", text=text, fix=fix)
        elif ".json" in endings and case.mlmodel.has_example:
            text = (
                f"{case.runtime.name} treats the .json files of the input example as models, and accepts only one model"
            )
            yield CheckResult(
                answer="fails", text=text, fix="log it without input_example, or set profile: mlserver-image"
            )
        return
    flavors = ", ".join(case.runtime.files) or "no flavor in its description"
    yield CheckResult(answer="fails", text=f"{case.runtime.name} reads {flavors}, but the model has no such flavor")


def _hub(case: ModelOnRuntime) -> Iterator[CheckResult]:
    if not case.mlmodel.source_model:
        text = f"{case.runtime.name} loads from the Hugging Face hub, but the model has no reference to the hub"
        yield CheckResult(answer="fails", text=text, fix="log it with mlflow.transformers and save_pretrained=False")
    else:
        text = f"it is unknown whether {case.runtime.name} supports {case.mlmodel.source_model[:100]}"
        yield CheckResult(answer="unknown", text=text, fix="test it with `m2g smoke`")
