"""Find files that users wrote and that nothing uses."""

from __future__ import annotations

from collections.abc import Iterable

from m2g.core.finding import Finding, Severity
from m2g.repository import layout
from m2g.repository.layout import Key, model_yaml
from m2g.repository.state import Repository


def find_unused(repository: Repository, records: Iterable[Key]) -> list[Finding]:
    """Findings for files of an unknown environment, or of a model that has no record, there or anywhere.

    Usual causes are a misspelled folder name, and a model whose slug changed. A component that waits for a release
    would be applied without another review.
    """
    keys = frozenset(records)
    released = {slug for slug, _ in keys}
    files = {slug: _component(slug, environment) for slug, environment in sorted(repository.components)}
    files |= {slug: model_yaml(slug) for slug in repository.intents}
    return [
        *(
            Finding(
                rule="component-unused",
                severity=Severity.WARNING,
                file=_component(slug, environment),
                model=next((r.model for (s, _), r in repository.records.items() if s == slug), slug),
                message=f"m2g.yaml has no environment {environment!r}, so nothing uses this component",
                hint=f"known environments: {', '.join(repository.config.environments)}",
            )
            for slug, environment in sorted(repository.components)
            if environment not in repository.config.environments
        ),
        *(
            Finding(
                rule="component-unused",
                severity=Severity.WARNING,
                file=_component(slug, environment),
                model=next((r.model for (s, _), r in repository.records.items() if s == slug), slug),
                environment=environment,
                message=f"the model has no release in {environment}, so nothing uses this component; the first release "
                "there will",
                hint=f"see what the release waits for: m2g explain --model {slug}; or remove the component until then",
            )
            for slug, environment in sorted(repository.components - keys)
            if environment in repository.config.environments and slug in released
        ),
        *(
            Finding(
                rule="model-unused",
                severity=Severity.WARNING,
                file=file,
                model=slug,
                message="this model has no release, so nothing uses this file",
                hint=_explain_next(repository, slug),
            )
            for slug, file in sorted(files.items())
            if slug not in released
        ),
    ]


def _explain_next(repository: Repository, slug: str) -> str:
    moved = f"if the slug changed, move the folder: git mv {layout.model(slug)} {layout.MODELS}/NEW_SLUG"
    if _waits_for_image(repository, slug):
        return f"if it waits for its image, see which: m2g image --missing; {moved}"
    return f"if it waits for a release, see for what: m2g explain --model {slug}; {moved}; else remove the file"


def _waits_for_image(repository: Repository, slug: str) -> bool:
    intent = repository.find_intent(slug)
    settings = [intent.settings, *(one.settings for one in intent.environments.values())]
    return any(one.profile in ("mlserver-image", "mlflow-image") for one in settings)


def _component(slug: str, environment: str) -> str:
    return f"{layout.component(slug, environment)}/kustomization.yaml"
