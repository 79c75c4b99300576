"""The gate: whether the described runtimes load a release. Render, validate and diff use it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from m2g.compat.check import check_runtime, explain_no_image
from m2g.compat.runtime import Runtime, find_by_image, find_runtime
from m2g.compat.signature import explain_no_answer
from m2g.compat.verdict import Reason, Verdict
from m2g.core.finding import Finding, Severity
from m2g.core.manifest import Manifest, get_at
from m2g.core.model import Release
from m2g.serving import profile
from m2g.serving.spec import RUNTIMES, Serving, ServingChoice

_MODEL = ("spec", "predictor", "model")


def check_runtimes(release: Release, serving: Serving, known: Sequence[Runtime]) -> Mapping[str, Verdict]:
    """Runtime → verdict, for the runtimes that could be chosen. Empty for a model without an MLmodel file."""
    mlmodel = release.mlmodel
    if mlmodel is None:
        return {}
    names = {serving.runtime, *profile.list_candidates(mlmodel)} - {""}
    if mlmodel.source_model:
        names.add(RUNTIMES["huggingface"])
    version = serving.kserve.version
    verdicts = {name: _check(release, name, serving.limits, version, known) for name in sorted(names)}
    if serving.runtime and serving.profile in ("auto", "mlserver", "oci"):
        refused = _check_format("mlflow", serving.runtime, version, known)
        verdicts |= {} if refused is None else {serving.runtime: refused}
    return verdicts


def check_object(
    item: Manifest, overlay: Iterable[Manifest], release: Release | None, kserve: str, known: Sequence[Runtime]
) -> Verdict | None:
    """The verdict for a built InferenceService; None if no described runtime loads the model.

    A ServingRuntime in the overlay takes precedence over KServe's own. It is recognized by its image.
    """
    name = get_at(item, *_MODEL, "runtime")
    if (
        release is None
        or release.mlmodel is None
        or not isinstance(name, str)
        or get_at(item, "kind") != "InferenceService"
    ):
        return None
    limits = get_at(item, *_MODEL, "resources", "limits")
    texts = {str(key): str(value) for key, value in limits.items()} if isinstance(limits, dict) else {}
    for other in overlay:
        if get_at(other, "kind") == "ServingRuntime" and get_at(other, "metadata", "name") == name:
            described = find_by_image(known, str(get_at(other, "spec", "containers", 0, "image")))
            return None if described is None else check_runtime(release.mlmodel, described, texts)
    refused = _check_format(get_at(item, *_MODEL, "modelFormat", "name"), name, kserve, known)
    return refused or _check(release, name, texts, kserve, known)


def _check_format(model_format: object, name: str, kserve: str, known: Sequence[Runtime]) -> Verdict | None:
    """The verdict if KServe itself refuses the runtime because it does not support MLflow models; otherwise None."""
    runtime = find_runtime(known, name, kserve)
    if model_format != "mlflow" or runtime is None or "mlflow" in runtime.formats:
        return None
    text = f"{name} supports the model format {' and '.join(runtime.formats)}; KServe refuses it for mlflow"
    reason = Reason(text=text, fix="remove runtime, or set profile: native")
    return Verdict(answer="fails", runtime=name, reasons=(reason,))


def list_warnings(choices: Mapping[tuple[str, str], tuple[Release, ServingChoice]]) -> list[Finding]:
    """A warning for each release that its runtime may not load. The files are written nevertheless."""
    return [
        _finding(release, choice.verdict)
        for release, choice in choices.values()
        if choice.verdict is not None and choice.verdict.answer != "serves"
    ]


def check_change(release: Release, choice: ServingChoice, file: str) -> list[Finding]:
    """An error if a new version must not replace the old one: it is known that its runtime does not load it.

    `file` is the model's model.yaml, for the lines to write.
    """
    if choice.verdict is None or choice.verdict.answer != "fails":
        return []
    warning = _finding(release, choice.verdict)
    message = f"{warning.message}; {release.environment} does not change"
    hint = f"{_name_lines(warning.hint, release, file)}; for other ways, run: m2g explain {warning.rule}".removeprefix(
        "; "
    )
    return [msgspec.structs.replace(warning, severity=Severity.ERROR, message=message, hint=hint)]


def _name_lines(fix: str, release: Release, file: str) -> str:
    """The fix, and the lines to write if an image with the version's own packages would serve it."""
    fix = fix.replace("write to model.yaml:", f"write to {file}:")
    mlmodel = release.mlmodel
    if mlmodel is None or fix.startswith("write to "):
        return fix
    change = fix.partition("set profile: ")[0].removesuffix("; or ")
    no_image = explain_no_image(mlmodel, {})
    if no_image is not None:
        return change or no_image.fix
    profile = "mlflow-image" if explain_no_answer(mlmodel) else "mlserver-image"
    image = f"m2g image {shlex.quote(release.model)} --env {release.environment} -o DIR"
    lines = f"write to {file}: settings: {{profile: {profile}}}, then build its image: {image}"
    return f"{change}; or {lines}" if change else lines


def _finding(release: Release, verdict: Verdict) -> Finding:
    return Finding(
        rule="runtime-fails" if verdict.answer == "fails" else "runtime-unsure",
        severity=Severity.WARNING,
        model=release.model,
        environment=release.environment,
        message=f"version {release.version}: {describe_verdict(verdict)}",
        hint=verdict.reasons[0].fix if verdict.reasons else "",
    )


def describe_verdict(verdict: Verdict) -> str:
    """The verdict as a sentence."""
    verb = {"serves": "loads it", "fails": "does not load it", "unknown": "may not load it"}[verdict.answer]
    why = "; ".join(reason.text for reason in verdict.reasons[:3]) if verdict.answer != "serves" else ""
    return f"{verdict.runtime} {verb}{': ' if why else ''}{why}"


def _check(release: Release, name: str, limits: Mapping[str, str], kserve: str, known: Sequence[Runtime]) -> Verdict:
    runtime = find_runtime(known, name, kserve)
    if runtime is None or release.mlmodel is None:
        reason = Reason(
            text=f"the runtime {name} is not described",
            fix=f"describe the packages in its image: m2g runtimes import FILE --name {name}",
        )
        return Verdict(answer="unknown", runtime=name, reasons=(reason,))
    return check_runtime(release.mlmodel, runtime, limits)
