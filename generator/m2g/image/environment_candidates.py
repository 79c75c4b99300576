"""The versions that need a serving environment: those that no runtime of the cluster serves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from m2g.compat.signature import explain_no_answer
from m2g.core.config_types import Server
from m2g.core.errors import InputError
from m2g.core.model import Release
from m2g.image.environment_plan import Candidate, Unplanned
from m2g.repository.layout import Key
from m2g.repository.state import Repository
from m2g.serving.decide import choose_with_settings, find_storage_uri, resolve_serving
from m2g.serving.environments import EnvironmentNeed, describe_need


def list_candidates(repository: Repository, releases: Mapping[Key, Release]) -> tuple[list[Candidate], list[Unplanned]]:
    """The versions that need an environment, and those for which none can be made."""
    found: dict[tuple[str, str, EnvironmentNeed], list[Release]] = defaultdict(list)
    refused: dict[tuple[str, str], tuple[list[str], str, str]] = {}
    for (slug, _), release in sorted(releases.items()):
        server = find_server(repository, slug, release)
        if server is None or release.mlmodel is None:
            continue
        try:
            need = describe_need(repository.config, release.model, release.mlmodel, server)
        except InputError as error:
            name = f"{release.model}/{release.version}"
            names, _, _ = refused.setdefault((release.model, error.message), ([], error.message, error.hint or ""))
            if name not in names:
                names.append(name)
            continue
        found[release.model, release.version, need].append(release)
    candidates = [
        Candidate(
            model=model,
            version=version,
            environments=tuple(release.environment for release in those),
            need=need,
            mlmodel=those[0].mlmodel,
        )
        for (model, version, need), those in found.items()
    ]
    unplanned = [Unplanned(versions=tuple(names), message=why, hint=hint) for names, why, hint in refused.values()]
    return candidates, unplanned


def find_server(repository: Repository, slug: str, release: Release) -> Server | None:
    """The server that a release needs an environment for; None if something else serves it."""
    serving, _ = resolve_serving(repository, slug, release)
    if serving.image or serving.batch is not None or not find_storage_uri(repository.config, release):
        return None
    choice, _ = choose_with_settings(repository, release, serving)
    if choice.image and not choice.environment:  # it was built for this version
        return None
    if choice.profile == "mlserver-image":
        return "mlserver"
    if choice.profile == "mlflow-image":
        return "mlflow"
    led = serving.profile == "auto" and not serving.runtime and release.mlmodel is not None
    if not led or choice.verdict is None or choice.verdict.answer != "fails" or release.mlmodel is None:
        return None
    return "mlserver" if explain_no_answer(release.mlmodel) is None else "mlflow"
