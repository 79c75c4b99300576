"""How one release is served: its settings, its storage URI and its profile, and what is wrong with them."""

from __future__ import annotations

from msgspec import UNSET

from m2g.core.config_types import Config
from m2g.core.errors import InputError
from m2g.core.finding import Finding
from m2g.core.model import Release
from m2g.repository.state import Repository
from m2g.serving import settings, storage_uri
from m2g.serving.backends import BACKENDS
from m2g.serving.spec import Chosen, Serving


def choose(repository: Repository, slug: str, release: Release) -> Chosen:
    """How one release is served and why, whatever is wrong with it."""
    serving, _ = serving_of(repository, slug, release)
    return profiled(repository, release, serving)[0]


def serving_of(repository: Repository, slug: str, release: Release) -> tuple[Serving, list[Finding]]:
    """The settings of one release, complete, and what is wrong with them."""
    config = repository.config
    place = config.environments[release.environment]
    kserve = config.kserve if place.kserve is UNSET else place.kserve
    given, findings = settings.layers(config, slug, release.environment, repository.find_intent(slug), release)
    serving, wrong = settings.resolve(given, config.bounds, kserve)
    return serving, findings + wrong


def profiled(repository: Repository, release: Release, serving: Serving) -> tuple[Chosen, list[Finding]]:
    """The profile; a place that no cluster can read is a finding only where the profile reads it."""
    config = repository.config
    refused: list[Finding] = []
    uri = ""
    try:
        uri = _readable(config, release.environment, release.artifact_uri)
    except InputError as error:
        refused = [Finding(rule="storage-refused", message=error.message, hint=error.hint)]
    backend = BACKENDS[serving.backend]
    made, findings = backend.choose(release, serving, uri, repository.runtimes)
    if made.storage_uri and made.storage_uri != uri:  # what a saved reference refers to
        try:
            uri = _readable(config, release.environment, made.storage_uri)
        except InputError as error:
            findings.append(Finding(rule="storage-refused", message=error.message, hint=error.hint))
        return made, findings
    return made, [*refused, *findings] if refused and backend.reads_storage(made) else findings


def _readable(config: Config, environment: str, uri: str) -> str:
    place = config.environments[environment]
    rewrites = (*place.storage.rewrites, *config.storage.rewrites)
    return storage_uri.cluster_uri(uri, rewrites, place.storage.allow or config.storage.allow)
