"""Compare two release records: metrics, parameters, lineage, and what deserves attention."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping

from m2g.core.model import Mlmodel, Release, Run
from m2g.review.values import Concern, FactChange, Metric, Risk

_COMMIT, _USER, _SOURCE = "mlflow.source.git.commit", "mlflow.user", "mlflow.source.name"


def compare_metrics(before: Release | None, after: Release | None) -> tuple[Metric, ...]:
    """Every metric of either version, by name."""
    old, new = _run(before).metrics, _run(after).metrics
    return tuple(_metric(name, old.get(name), new.get(name)) for name in sorted({*old, *new}))


def compare_params(before: Release | None, after: Release | None) -> tuple[FactChange, ...]:
    """The training parameters that changed, by name."""
    return _moved(_run(before).params, _run(after).params)


def compare_lineage(before: Release | None, after: Release | None) -> tuple[FactChange, ...]:
    """What changed in where the model comes from and what it consists of."""
    return _moved(dict(_facts(before)), dict(_facts(after)))


def find_concerns(before: Release, after: Release) -> Iterator[Concern]:
    """What is unusual about the change from one record to the other."""
    if before.model != after.model:
        message = f"the registered model changes from {before.model!r} to {after.model!r}"
        yield Concern(risk=Risk.BREAKING, message=message)
    if before.registry != after.registry:
        message = f"the registry changes from {before.registry} to {after.registry}"
        yield Concern(risk=Risk.CAUTION, message=message)
    yield from _compare_sources(before, after)
    if before.version == after.version:
        old, new = (_digest(before), before.artifact_uri), (_digest(after), after.artifact_uri)
        if old != new:
            yield Concern(risk=Risk.POWERFUL, message=f"version {after.version} is the same, but its artifacts changed")
    elif _number(after.version) < _number(before.version):
        message = f"version {after.version} is older than version {before.version}"
        yield Concern(risk=Risk.CAUTION, message=message)
    replaced = "" if after.replaces is None else after.replaces.version
    if before.identity == after.identity and before.replaces != after.replaces and replaced != after.version:
        what = f"version {replaced}" if replaced else "nothing"
        message = f"the record says that it replaced {what}: this begins or ends the hold of a person's revert"
        yield Concern(risk=Risk.CAUTION, message=message)
    if before.follows.startswith("pinned") and not after.follows.startswith("pinned"):
        message = f"the pin is removed ({before.follows}); the environment follows {after.follows} again"
        yield Concern(risk=Risk.CAUTION, message=message)
    if before.mlmodel is not None and after.mlmodel is None:
        yield Concern(risk=Risk.CAUTION, message="the new version has no MLmodel file")
    elif before.mlmodel is not None and after.mlmodel is not None:
        yield from _compare_mlmodels(before.mlmodel, after.mlmodel)


def describe_image(image: str) -> Concern:
    """A record had no image before. Whoever wrote it chose the program that runs."""
    return Concern(risk=Risk.CAUTION, message=f"it runs the image {image}, which the release record names")


def _compare_sources(before: Release, after: Release) -> Iterator[Concern]:
    """Another place of the images or the files is unusual, even for a new version."""
    old, new = ("" if side.image is None else side.image.name for side in (before, after))
    if old and new and _repository(old) != _repository(new):
        message = f"the image comes from {_repository(new)} instead of {_repository(old)}"
        yield Concern(risk=Risk.CAUTION, message=message)
    elif old and new and old != new and before.version == after.version:
        yield Concern(risk=Risk.POWERFUL, message=f"version {after.version} is the same, but its image changed")
    elif new and not old:
        yield describe_image(new)
    old, new = (_store(side.artifact_uri) for side in (before, after))
    if old != new and before.version != after.version:
        message = f"the model comes from {new or 'nowhere'} instead of {old or 'nowhere'}"
        yield Concern(risk=Risk.CAUTION, message=message)


def _compare_mlmodels(before: Mlmodel, after: Mlmodel) -> Iterator[Concern]:
    """Changes that decide whether the server can load the model."""
    old = {flavor.name: flavor.serialization_format for flavor in before.flavors}
    new = {flavor.name: flavor.serialization_format for flavor in after.flavors}
    if set(old) != set(new):
        message = f"the flavors change from {', '.join(sorted(old))} to {', '.join(sorted(new))}"
        yield Concern(risk=Risk.CAUTION, message=message)
    for name in sorted(set(old) & set(new)):
        if old[name] != new[name]:
            formats = f"from {old[name] or 'unknown'} to {new[name] or 'unknown'}"
            yield Concern(risk=Risk.CAUTION, message=f"the serialization format of {name} changes {formats}")
    if _minor(before.python_version) != _minor(after.python_version):
        versions = f"from {before.python_version or 'unknown'} to {after.python_version or 'unknown'}"
        yield Concern(risk=Risk.CAUTION, message=f"the Python version changes {versions}")


def _facts(release: Release | None) -> Iterator[tuple[str, str]]:
    if release is None:
        return
    run = _run(release)
    yield "follows", release.follows
    yield "registered", _day(release.created_at)
    yield "source", release.source
    yield "artifacts", release.artifact_uri
    yield "run", run.id
    yield "experiment", run.experiment_id
    yield "git commit", run.tags.get(_COMMIT, "")
    yield "made by", run.tags.get(_USER, "")
    yield "script", run.tags.get(_SOURCE, "")
    yield "datasets", ", ".join(f"{item.name}@{item.digest}" for item in run.datasets)
    yield from ((f"tag {key}", value) for key, value in sorted(release.tags.items()))
    if release.mlmodel is not None:
        yield from _made_of(release.mlmodel)


def _made_of(mlmodel: Mlmodel) -> Iterator[tuple[str, str]]:
    yield "MLmodel sha256", mlmodel.sha256
    yield "MLflow", mlmodel.mlflow_version
    yield "Python", mlmodel.python_version
    yield "size", "" if mlmodel.size_bytes is None else f"{mlmodel.size_bytes} bytes"
    for flavor in mlmodel.flavors:
        yield f"flavor {flavor.name}", " ".join(part for part in (flavor.version, flavor.serialization_format) if part)


def _moved(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[FactChange, ...]:
    names = [*old, *(name for name in new if name not in old)]
    return tuple(
        FactChange(name=name, before=old.get(name, ""), after=new.get(name, ""))
        for name in names
        if old.get(name, "") != new.get(name, "")
    )


def _metric(name: str, before: float | str | None, after: float | str | None) -> Metric:
    delta = after - before if isinstance(before, float) and isinstance(after, float) else None
    return Metric(name=name, before=before, after=after, delta=delta)


def _run(release: Release | None) -> Run:
    return release.run if release is not None and release.run is not None else Run(id="")


def _digest(release: Release) -> str:
    return release.mlmodel.sha256 if release.mlmodel is not None else ""


def _repository(image: str) -> str:
    return image.partition("@")[0]


def _store(uri: str) -> str:
    """The scheme of a URI, and its bucket or host if it has one; `file` for a local path."""
    if "://" in uri:
        return "/".join(uri.split("/")[:3])
    return uri.partition(":")[0] if ":" in uri.partition("/")[0] else "file" if uri else ""


def _number(version: str) -> int:
    return int(version) if version.isdecimal() and len(version) < 20 else 0


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _day(milliseconds: int) -> str:
    try:
        return datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError, OSError):
        return str(milliseconds)
