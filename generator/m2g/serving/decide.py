"""Decide how one release is served: its settings, its storage URI and its profile, with findings about them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec
from msgspec import UNSET

from m2g.core.config_types import Config, Rewrite
from m2g.core.errors import InputError
from m2g.core.finding import Finding
from m2g.core.model import MAX_REASON, DecidedFrom, Release, ServingDecision
from m2g.core.teams import find_bounds
from m2g.repository import layout
from m2g.repository.state import Repository
from m2g.serving import settings, storage_uri
from m2g.serving.backends import BACKENDS
from m2g.serving.environments import share_environment
from m2g.serving.profile import IMAGE_MISSING, check_recorded
from m2g.serving.spec import Serving, ServingChoice, write_redecide_command


def choose_serving(repository: Repository, slug: str, release: Release) -> ServingChoice:
    """How one release is served and why. Findings are ignored."""
    serving, _ = resolve_serving(repository, slug, release)
    return choose_with_settings(repository, release, serving)[0]


def resolve_serving(repository: Repository, slug: str, release: Release) -> tuple[Serving, list[Finding]]:
    """The complete settings of one release, with findings about them."""
    config = repository.config
    environment = config.environments[release.environment]
    kserve = config.kserve if environment.kserve is UNSET else environment.kserve
    layers, findings = settings.collect_layers(config, slug, release.environment, repository.find_intent(slug), release)
    serving, more = settings.resolve_settings(layers, find_bounds(config, slug), kserve)
    return serving, [*findings, *more, *_check_backend(config, serving)]


def _check_backend(config: Config, serving: Serving) -> Iterator[Finding]:
    """Argo CD and Flux may not apply the kinds of a backend that is outside of the bounds."""
    allowed = config.sync.bounds.backends
    if serving.backend not in allowed:
        names = ", ".join((*allowed, serving.backend))
        yield Finding(
            rule="setting-out-of-bounds",
            file=layout.CONFIG,
            path="sync.bounds.backends",
            message=f"the backend {serving.backend} is outside the bounds",
            hint=f"write to {layout.CONFIG}: sync: {{bounds: {{backends: [{names}]}}}}",
        )


def choose_with_settings(
    repository: Repository, release: Release, serving: Serving
) -> tuple[ServingChoice, list[Finding]]:
    """How a release with these settings is served, with findings.

    A storage URI that a cluster cannot read is a finding only if the profile reads the model from it. One that is
    forbidden is a finding for each profile: an image contains what was downloaded from it.
    """
    config = repository.config
    refused: list[Finding] = []
    if (undecided := _check_decided(release, serving)) is not None:
        choice, findings = choose_with_settings(repository, msgspec.structs.replace(release, serving=None), serving)
        return choice, [undecided, *findings]
    release = _drop_decision(release, serving)
    uri = ""
    try:
        uri = _to_cluster_uri(config, release, release.artifact_uri)
    except InputError as error:
        refused = [Finding(rule="storage-refused", message=error.message, hint=error.hint)]
    backend = BACKENDS[serving.backend]
    choice, findings = backend.choose(release, serving, uri, repository.runtimes)
    shared, waits = share_environment(repository, release, serving, choice, uri)
    if shared.environment:
        others = [one for one in findings if one.rule not in (IMAGE_MISSING, "serving-forbidden")]
        choice, findings = shared, [*waits, *check_recorded(release, serving, shared), *others]
    if choice.storage_uri and choice.storage_uri != uri:  # the target of a saved reference
        try:
            uri = _to_cluster_uri(config, release, choice.storage_uri)
        except InputError as error:
            findings.append(Finding(rule="storage-refused", message=error.message, hint=error.hint))
        return choice, findings
    concerned = refused and (backend.reads_storage(choice) or _is_forbidden(config, release))
    return choice, [*refused, *findings] if concerned else findings


def _check_decided(release: Release, serving: Serving) -> Finding | None:
    """A finding if people set how the version is served, and do not any more."""
    decided = release.serving
    if decided is None or decided.decided_from is not None or not serving.is_automatic:
        return None
    return Finding(
        rule="serving-undecided",
        message=f"people set how version {release.version} is served, and the setting is gone: nothing is decided yet",
        hint=f"decide it: {write_redecide_command(release)}",
    )


def find_storage_uri(config: Config, release: Release) -> str:
    """Where a cluster reads the version; empty if it cannot."""
    try:
        return _to_cluster_uri(config, release, release.artifact_uri)
    except InputError:
        return ""


def _drop_decision(release: Release, serving: Serving) -> Release:
    """The release without a decision for another backend. The setting `backend` is of people and counts at once."""
    came_from = None if release.serving is None else release.serving.decided_from
    if came_from is None or came_from.backend == serving.backend:
        return release
    return msgspec.structs.replace(release, serving=None)


def keep_basis(repository: Repository, release: Release, serving: Serving) -> DecidedFrom | None:
    """What the decision in effect came from; None if people decided."""
    came_from = None if release.serving is None else release.serving.decided_from
    if serving.is_automatic and came_from is not None and came_from.backend == serving.backend:
        return came_from
    return find_basis(repository, release, serving)


def find_basis(repository: Repository, release: Release, serving: Serving) -> DecidedFrom | None:
    """The settings that `auto` decides from; None if people decided."""
    if not serving.is_automatic:
        return None
    uri = find_storage_uri(repository.config, release)
    storage: Literal["", "hf", "oci"] = "hf" if uri.startswith("hf://") else "oci" if uri.startswith("oci://") else ""
    return DecidedFrom(kserve=serving.kserve.version, backend=serving.backend, storage=storage)


def state_decision(
    repository: Repository, slug: str, release: Release, choice: ServingChoice, basis: DecidedFrom | None
) -> Release:
    """The release with `serving` as it is served. Settings of people count, whatever the record had."""
    decision = ServingDecision(
        profile=choice.profile,
        protocol=choice.protocol,
        name=slug,
        namespace=repository.config.environments[release.environment].namespace,
        reason=choice.reason[:MAX_REASON],
        runtime=choice.runtime,
        environment=choice.environment,
        decided_from=basis,
    )
    return msgspec.structs.replace(release, serving=decision)


def _to_cluster_uri(config: Config, release: Release, uri: str) -> str:
    return storage_uri.to_cluster_uri(uri, *_list_rules(config, release), release.registry)


def _is_forbidden(config: Config, release: Release) -> bool:
    return storage_uri.is_forbidden(release.artifact_uri, *_list_rules(config, release), release.registry)


def _list_rules(config: Config, release: Release) -> tuple[Sequence[Rewrite], Sequence[str]]:
    """The rewrites and the allowed prefixes of the release's environment."""
    storage = config.environments[release.environment].storage
    return (*storage.rewrites, *config.storage.rewrites), storage.allow or config.storage.allow
