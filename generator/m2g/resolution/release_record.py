"""Build the release record of a version from the registry's facts."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import msgspec
from msgspec.structs import FieldInfo

from m2g import mlmodel
from m2g.core.errors import InputError
from m2g.core.model import Mlmodel, ModelVersion, Release, Run, VersionFacts

_LINEAGE = frozenset(
    f"mlflow.{name}"
    for name in ("source.git.commit", "source.git.branch", "source.git.repoURL", "source.name", "user", "runName")
)
_MAX_ENTRIES = 100
"""How many metrics, parameters and datasets a record keeps, sorted by name."""
_MAX_LENGTH = 500
"""How many characters of a parameter or a lineage tag a record keeps."""

_UNREADABLE = ("hf://", "oci://", "pvc://")
"""Sources that a cluster can read and MLflow cannot. Their MLmodel file is not known."""


def build_record(version: ModelVersion, facts: VersionFacts, registry: str) -> Release:
    """The record of one version, without an environment. Raises InputError if the version cannot be released."""
    elsewhere = version.source.startswith(_UNREADABLE)
    if facts.problem and not elsewhere:
        raise InputError(facts.problem, hint=facts.hint)  # without one, the caller adds a hint for the environment
    if "MLmodel" not in facts.files and not elsewhere:
        raise InputError(
            f"there is no MLmodel file at {facts.artifact_uri}",
            hint="the artifacts are deleted, or the source is not an MLflow model: register the model again",
        )
    return Release(
        schema=2,
        model=version.name,
        environment="",
        registry=registry,
        version=version.version,
        follows="",
        created_at=version.created_at,
        source=version.source,
        artifact_uri=version.source if elsewhere else facts.artifact_uri,
        run=_lineage(facts.run) if facts.run else Run(id=version.run_id) if version.run_id else None,
        mlmodel=_mlmodel(facts),
    )


def find_differences(record: Release, said: Release) -> tuple[str, ...]:
    """What a record says of its version and the registry does not. What one of them does not know is no difference."""
    names = ["artifactUri"] if record.artifact_uri != said.artifact_uri else []
    if record.mlmodel is None or said.mlmodel is None:
        return tuple(names)
    pairs = _pair_facts(record.mlmodel, said.mlmodel)
    return (*names, *(f"mlmodel.{field.encode_name}" for field, one, _ in pairs if one != field.default))


def lacks_facts(record: Release, said: Release) -> bool:
    """Whether a record does not have facts that the registry has: an older m2g wrote less, or somebody removed them."""
    if record.mlmodel is None or said.mlmodel is None:
        return said.mlmodel is not None
    return any(one == field.default for field, one, _ in _pair_facts(record.mlmodel, said.mlmodel))


@functools.cache
def _list_fields() -> tuple[FieldInfo, ...]:
    return msgspec.structs.fields(Mlmodel)  # it compiles the annotations, which takes a millisecond


def _pair_facts(record: Mlmodel, said: Mlmodel) -> Iterator[tuple[FieldInfo, object, object]]:
    """The fields of which the registry says something else. m2g.yaml may keep the example out of a record."""
    for field in _list_fields():
        one, other = getattr(record, field.name), getattr(said, field.name)
        if one != other and other is not None and field.name not in ("example", "with_example"):
            yield field, one, other


def _mlmodel(facts: VersionFacts) -> Mlmodel | None:
    if "MLmodel" not in facts.files:
        return None
    read = mlmodel.read(facts.files, facts.unread)
    return msgspec.structs.replace(read, sha256=facts.mlmodel_sha256 or read.sha256)


def _lineage(run: Run) -> Run:
    """The parts of a run that a reviewer needs, limited in size: a tag or a parameter may have 100 kB."""
    return msgspec.structs.replace(
        run,
        metrics=dict(sorted(run.metrics.items())[:_MAX_ENTRIES]),
        params={key: text[:_MAX_LENGTH] for key, text in sorted(run.params.items())[:_MAX_ENTRIES]},
        tags={key: text[:_MAX_LENGTH] for key, text in sorted(run.tags.items()) if key in _LINEAGE},
        datasets=tuple(sorted(run.datasets[:_MAX_ENTRIES], key=lambda dataset: (dataset.name, dataset.digest))),
    )
