"""What runtimes say to a release: descriptions and facts brought together for render, validate and diff."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from m2g.compat.check import check_runtime
from m2g.compat.runtime import Runtime, find_by_image, find_runtime
from m2g.compat.verdict import Reason, Verdict
from m2g.core.finding import Finding, Severity
from m2g.core.manifest import Manifest, get_at
from m2g.core.model import Release
from m2g.serving import profile
from m2g.serving.spec import RUNTIMES, Chosen, Serving

_MODEL = ("spec", "predictor", "model")


def of(release: Release, serving: Serving, known: Sequence[Runtime]) -> Mapping[str, Verdict]:
    """Verdicts by runtime, of those that could be chosen; none for a model without facts."""
    mlmodel = release.mlmodel
    if mlmodel is None:
        return {}
    names = {serving.runtime, *profile.runtimes(mlmodel)} - {""}
    if mlmodel.source_model:
        names.add(RUNTIMES["huggingface"])
    version = serving.kserve.version
    found = {name: _of(release, name, serving.limits, version, known) for name in sorted(names)}
    if serving.runtime and serving.profile in ("auto", "mlserver", "oci"):
        wrong = _strange("mlflow", serving.runtime, version, known)
        found |= {} if wrong is None else {serving.runtime: wrong}
    return found


def of_object(
    item: Manifest, overlay: Iterable[Manifest], release: Release | None, kserve: str, known: Sequence[Runtime]
) -> Verdict | None:
    """The verdict on a built InferenceService as it is; None where no described runtime is to load the model.

    A ServingRuntime of the overlay wins over KServe's own; it is known by its image, or made for this model.
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
    wrong = _strange(get_at(item, *_MODEL, "modelFormat", "name"), name, kserve, known)
    return wrong or _of(release, name, texts, kserve, known)


def _strange(model_format: object, name: str, kserve: str, known: Sequence[Runtime]) -> Verdict | None:
    """The verdict where KServe itself would refuse the runtime: it is for other models than those of MLflow."""
    runtime = find_runtime(known, name, kserve)
    if model_format != "mlflow" or runtime is None or "mlflow" in runtime.formats:
        return None
    what = f"{name} is for the model format {' and '.join(runtime.formats)}, and KServe refuses it for mlflow"
    reason = Reason(text=what, fix="remove runtime, or set profile: native")
    return Verdict(answer="fails", runtime=name, reasons=(reason,))


def findings(chosen: Mapping[tuple[str, str], tuple[Release, Chosen]]) -> list[Finding]:
    """A warning for each release that its runtime does not load for sure: the tree is written all the same."""
    return [
        _finding(release, made.verdict)
        for release, made in chosen.values()
        if made.verdict is not None and made.verdict.answer != "serves"
    ]


def refused(release: Release, chosen: Chosen) -> list[Finding]:
    """Why a version must not take the place of another one: its runtime is known not to load it."""
    if chosen.verdict is None or chosen.verdict.answer != "fails":
        return []
    found = _finding(release, chosen.verdict)
    stays = f"{found.message}; {release.environment} stays as it is"
    hint = f"{found.hint}; `m2g explain {found.rule}` has other ways out".removeprefix("; ")
    return [msgspec.structs.replace(found, severity=Severity.ERROR, message=stays, hint=hint)]


def _finding(release: Release, answer: Verdict) -> Finding:
    return Finding(
        rule="runtime-fails" if answer.answer == "fails" else "runtime-unsure",
        severity=Severity.WARNING,
        model=release.model,
        environment=release.environment,
        message=f"version {release.version}: {words(answer)}",
        hint=answer.reasons[0].fix if answer.reasons else "",
    )


def words(answer: Verdict) -> str:
    """A verdict in a sentence."""
    verb = {"serves": "loads it", "fails": "does not load it", "unknown": "may not load it"}[answer.answer]
    why = "; ".join(reason.text for reason in answer.reasons[:3]) if answer.answer != "serves" else ""
    return f"{answer.runtime} {verb}{': ' if why else ''}{why}"


def _of(release: Release, name: str, limits: Mapping[str, str], kserve: str, known: Sequence[Runtime]) -> Verdict:
    runtime = find_runtime(known, name, kserve)
    if runtime is None or release.mlmodel is None:
        reason = Reason(
            text=f"nobody has described the runtime {name}",
            fix=f"describe what its image contains: m2g runtimes import FILE --name {name}",
        )
        return Verdict(answer="unknown", runtime=name, reasons=(reason,))
    return check_runtime(release.mlmodel, runtime, limits)
