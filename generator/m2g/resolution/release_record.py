"""What the registry says of one version becomes its release record."""

from __future__ import annotations

import msgspec

from m2g import mlmodel
from m2g.core.errors import InputError
from m2g.core.model import ModelVersion, Release, Run, VersionFacts
from m2g.core.sanitize import hide_passwords

_LINEAGE = frozenset(
    f"mlflow.{name}"
    for name in ("source.git.commit", "source.git.branch", "source.git.repoURL", "source.name", "user", "runName")
)
_MOST = 100
"""Metrics, parameters and datasets that a record keeps, in the order of their names."""
_LONGEST = 500
"""Characters of a parameter or lineage tag that a record keeps."""

_UNREAD = ("hf://", "oci://", "pvc://")
"""Sources that clusters read and MLflow cannot: their MLmodel file is not known."""


def recorded(version: ModelVersion, facts: VersionFacts, registry: str) -> Release:
    """The record of one version, yet in no environment. Raises InputError for a version that cannot be released."""
    elsewhere = version.source.startswith(_UNREAD)
    if facts.problem and not elsewhere:
        raise InputError(hide_passwords(facts.problem))
    if "MLmodel" not in facts.files and not elsewhere:
        raise InputError(
            f"there is no MLmodel file at {hide_passwords(facts.artifact_uri)}",
            hint="the artifacts are gone or the source is no MLflow model: register the version again",
        )
    return Release(
        schema=1,
        model=version.name,
        environment="",
        registry=registry,
        version=version.version,
        follows="",
        created_at=version.created_at,
        source=version.source,
        artifact_uri=version.source if elsewhere else facts.artifact_uri,
        run=_lineage(facts.run) if facts.run else Run(id=version.run_id) if version.run_id else None,
        mlmodel=mlmodel.read(facts.files, facts.unread) if "MLmodel" in facts.files else None,
    )


def _lineage(run: Run) -> Run:
    """What a reviewer needs of a run, bounded: a tag or a parameter may be 100 kB of anybody's text."""
    return msgspec.structs.replace(
        run,
        metrics=dict(sorted(run.metrics.items())[:_MOST]),
        params={key: text[:_LONGEST] for key, text in sorted(run.params.items())[:_MOST]},
        tags={key: text[:_LONGEST] for key, text in sorted(run.tags.items()) if key in _LINEAGE},
        datasets=tuple(sorted(run.datasets[:_MOST], key=lambda dataset: (dataset.name, dataset.digest))),
    )
