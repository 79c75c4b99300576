"""What people wrote that nothing uses."""

from __future__ import annotations

from collections.abc import Iterable

from m2g.core.finding import Finding, Severity
from m2g.repository import layout
from m2g.repository.layout import Key, model_yaml
from m2g.repository.state import Repository


def find_unused(repository: Repository, records: Iterable[Key]) -> list[Finding]:
    """What people wrote that nothing uses: for an environment that is not there, for a model without a record.

    Such is a misspelt folder, or the one that a model leaves behind that gets another slug.
    """
    released = {slug for slug, _ in records}
    written = {slug: _component(slug, environment) for slug, environment in sorted(repository.components)}
    written |= {slug: model_yaml(slug) for slug in repository.intents}
    return [
        *(
            Finding(
                rule="component-unused",
                severity=Severity.WARNING,
                file=_component(slug, environment),
                model=next((r.model for (s, _), r in repository.records.items() if s == slug), slug),
                message=f"m2g.yaml has no environment {environment!r}, so nothing uses this component",
                hint=f"it has {', '.join(repository.config.environments)}",
            )
            for slug, environment in sorted(repository.components)
            if environment not in repository.config.environments
        ),
        *(
            Finding(
                rule="model-unused",
                severity=Severity.WARNING,
                file=file,
                model=slug,
                message="nothing is released for this model, so nothing uses what is written here",
                hint="if the model has another slug now, git mv it there; else remove it, or wait for a release",
            )
            for slug, file in sorted(written.items())
            if slug not in released
        ),
    ]


def _component(slug: str, environment: str) -> str:
    return f"{layout.component(slug, environment)}/kustomization.yaml"
