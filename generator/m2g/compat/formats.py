"""Whether the runtime reads what was saved: the file, and how the object in it was serialized."""

from __future__ import annotations

from collections.abc import Iterator

from m2g.compat.reason import PYFUNC, CheckResult, ModelOnRuntime, find_format, parse_version

_SINCE = {"skops": (3, 9), "pt2": (3, 14)}
"""The first mlflow that reads a format (bisected over its wheels)."""
_NEEDS = {"skops": "skops", "pt2": "torch", "cloudpickle": "cloudpickle"}
_OTHER_FORMAT = "log it with serialization_format='cloudpickle'"


def check_formats(case: ModelOnRuntime) -> Iterator[CheckResult]:
    """As the runtime loads."""
    match case.runtime.loads:
        case "pyfunc":
            yield from _pyfunc(case)
        case "file":
            yield from _file(case)
        case "hub":
            yield from _hub(case)


def _pyfunc(case: ModelOnRuntime) -> Iterator[CheckResult]:
    if PYFUNC not in case.flavors:
        text = "the model has no python_function flavor, which is the one that MLServer loads"
        yield CheckResult(answer="fails", text=text, fix="log it with a flavor that has one")
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
            text = f"{what}, which mlflow reads since {since[0]}.{since[1]}; {case.runtime.name} has {version}"
            yield CheckResult(answer="fails", text=text, fix=fix)
        elif not has:
            text = f"{what}; which mlflow {case.runtime.name} has is not known"
            yield CheckResult(answer="unknown", text=text, fix=fix)
        elif case.runtime.has(_NEEDS[saved]) is False:
            text = f"{what}, and {case.runtime.name} lacks the package {_NEEDS[saved]}"
            yield CheckResult(answer="fails", text=text, fix=fix)


def _file(case: ModelOnRuntime) -> Iterator[CheckResult]:
    for name, endings in case.runtime.files.items():
        flavor = case.flavors.get(name)
        if flavor is None:
            continue
        if not flavor.file:
            yield CheckResult(answer="unknown", text=f"which file {name} saved is not known", fix="run `m2g render`")
        elif not flavor.file.endswith(endings) or "/" in flavor.file:
            text = f"{case.runtime.name} reads one file {', '.join(endings)}; the model is {flavor.file}"
            fix = _OTHER_FORMAT if name == "sklearn" else ""
            yield CheckResult(answer="fails", text=text, fix=fix)
        elif ".json" in endings and case.mlmodel.has_example:
            text = f"{case.runtime.name} takes the input example's .json files for models, and refuses more than one"
            yield CheckResult(
                answer="fails", text=text, fix="log it without input_example, or set profile: mlserver-image"
            )
        return
    reads = ", ".join(case.runtime.files) or "nothing that is described"
    yield CheckResult(answer="fails", text=f"{case.runtime.name} reads {reads}, and the model has no such flavor")


def _hub(case: ModelOnRuntime) -> Iterator[CheckResult]:
    if not case.mlmodel.source_model:
        text = f"{case.runtime.name} loads from the Hugging Face hub, and the model refers to nothing there"
        yield CheckResult(answer="fails", text=text, fix="log it with mlflow.transformers and save_pretrained=False")
    else:
        text = f"whether {case.runtime.name} knows the architecture of {case.mlmodel.source_model[:100]} is not told"
        yield CheckResult(answer="unknown", text=text, fix="try it: m2g smoke")
