"""Decide how a version is served when it is resolved. The record keeps the decision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec
from msgspec import UNSET

from m2g.core.finding import Finding, Severity
from m2g.core.model import DecidedFrom, Release, ServingDecision
from m2g.repository import layout
from m2g.repository.layout import Key
from m2g.repository.state import Repository, Scope
from m2g.serving.decide import choose_serving, choose_with_settings, find_basis, resolve_serving, state_decision
from m2g.serving.spec import ServingChoice, write_redecide_command


def decide(repository: Repository, slug: str, release: Release, *, again: bool = False) -> Release | Finding:
    """The release with how it is served, or why the environment keeps what it has.

    The decision of a record stays, unless the version, its image or a setting that it came from is another one, or it
    cannot be rendered, or `again` is set. Another table of runtimes or another m2g is no reason. A record of schema 1
    decides nothing.
    """
    before = repository.records.get((slug, release.environment))
    if release.schema == 1 or (slug in repository.up_to_date and release == before and not again):
        return release
    serving, _ = resolve_serving(repository, slug, release)
    basis = find_basis(repository, release, serving)
    decided = release.serving
    new = before is None or before.image != release.image
    if again or new or decided is None or decided.decided_from != basis:
        release = msgspec.structs.replace(release, serving=None)
    choice, problems = choose_with_settings(repository, release, serving)
    if problems and release.serving is not None:  # it cannot run: somebody edited it, or took its image away
        release = msgspec.structs.replace(release, serving=None)
        choice, _ = choose_with_settings(repository, release, serving)
    if before is not None and basis is not None:
        served = choose_serving(repository, slug, before) if before.serving is None else before.serving
        came_from = None if before.serving is None else before.serving.decided_from
        people = came_from is not None and came_from.backend != basis.backend  # they set another backend
        if served.protocol != choice.protocol and not people:
            return _refuse(repository, slug, release, served, choice)
    return state_decision(repository, slug, release, choice, basis)


def redecide(
    repository: Repository, records: Mapping[Key, Release], scope: Scope
) -> tuple[dict[Key, Release], list[Finding]]:
    """The records with new decisions, and a finding for each that keeps its own."""
    result, findings = dict(records), []
    for key, release in records.items():
        if not scope.includes(key, release.model):
            continue
        decided = decide(repository, key[0], msgspec.structs.replace(release, schema=2), again=True)
        if isinstance(decided, Finding):
            findings.append(decided)
        else:
            result[key] = decided
    return result, findings


def migrate(repository: Repository, records: Mapping[Key, Release], scope: Scope) -> dict[Key, Release]:
    """The records of schema 1 with how they are served now, as decisions. Nothing is decided that changes an object."""
    result = dict(records)
    for key, old in records.items():
        if old.schema != 1 or not scope.includes(key, old.model):
            continue
        serving, problems = resolve_serving(repository, key[0], old)
        choice, findings = choose_with_settings(repository, old, serving)
        if not problems and not findings:  # otherwise it is not rendered, and nobody knows how it is served
            new = msgspec.structs.replace(old, schema=2)
            result[key] = state_decision(repository, key[0], new, choice, find_basis(repository, new, serving))
    return result


def find_outdated(repository: Repository, records: Mapping[Key, Release]) -> Iterator[Finding]:
    """A warning for each decision that came from other settings. The next `m2g render` decides again."""
    config = repository.config
    for (slug, environment), release in records.items():
        came_from = None if release.serving is None else release.serving.decided_from
        place = config.environments.get(environment)
        if came_from is None or place is None:
            continue
        kserve = config.kserve if place.kserve is UNSET else place.kserve
        moved = place.storage.rewrites or config.storage.rewrites
        if came_from.kserve == kserve.version and not moved:  # quick: nothing else can be another one
            continue
        serving, _ = resolve_serving(repository, slug, release)
        basis = find_basis(repository, release, serving)
        if basis is not None and basis.backend == came_from.backend and basis != came_from:
            yield Finding(
                rule="serving-outdated",
                severity=Severity.WARNING,
                file=layout.release(slug, environment),
                model=release.model,
                environment=environment,
                message=f"how version {release.version} is served was decided for {_describe(came_from)}; "
                f"the settings say {_describe(basis)}",
                hint=f"decide again: {write_redecide_command(release)}",
            )


def _describe(basis: DecidedFrom) -> str:
    place = f" and a model at {basis.storage}://" if basis.storage else ""
    server = f"KServe {basis.kserve}" if basis.backend == "kserve" else basis.backend
    return f"{server}{place}"


def _refuse(
    repository: Repository, slug: str, release: Release, before: ServingDecision | ServingChoice, choice: ServingChoice
) -> Finding:
    """Callers of a service would fail, so a person decides about its protocol."""
    file, environment = layout.model_yaml(slug), release.environment
    known = int(release.version) in repository.find_intent(slug).find_pin(environment).known_bad
    return Finding(
        rule="protocol-changes",
        severity=Severity.WARNING if known else Severity.ERROR,
        model=release.model,
        environment=environment,
        message=f"version {release.version} needs the profile {choice.profile} ({choice.reason}), and callers would "
        f"have to use {choice.protocol} in place of {before.protocol}; {environment} does not change",
        hint=f"when they can, write to {file}: environments: {{{environment}: {{settings: {{profile: "
        f"{choice.profile}}}}}}}",
    )
