"""The registry's present state becomes the release records that the repository should have."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
from msgspec import UNSET

from m2g.core.cache import Cache
from m2g.core.config_types import Config
from m2g.core.errors import InputError
from m2g.core.finding import Finding, Severity
from m2g.core.interning import Interner
from m2g.core.model import ModelVersion, RegisteredModel, Release, Value, VersionFacts
from m2g.registry import Progress, Registry, open_registry
from m2g.repository.config import find_registry_uri
from m2g.repository.layout import Key
from m2g.repository.selection import find_slug, is_selected, matches_name
from m2g.repository.state import Repository, Scope
from m2g.resolution import version_facts
from m2g.resolution.release_image import kept, remembered
from m2g.resolution.release_record import recorded
from m2g.resolution.targets import Plan, Target, plan, stale_pins


class Resolved(Value, frozen=True, kw_only=True):
    """The records that should follow; `removed` are gone, by the registry's own word.

    `empty` says that the registry has no model at all: a wiped or a wrong one, until a person says otherwise.
    """

    records: dict[Key, Release]
    removed: tuple[Key, ...]
    findings: tuple[Finding, ...]
    empty: bool = False


class Listing(Value, frozen=True, kw_only=True):
    """What the registry lists."""

    models: list[RegisteredModel]
    versions: list[ModelVersion]


def resolve(repository: Repository, registry: Registry, scope: Scope, cache: Cache) -> Resolved:
    """Ask the registry what each environment follows now.

    A version that cannot be read leaves its record as it was, with a finding.
    Raises OutsideError where the registry does not answer completely: then nothing may change.
    """
    records = repository.records
    asked = _asked(repository, registry, scope, cache)
    removed = tuple(key for key in asked.removals if scope.includes(key, records[key].model))
    result = {**records, **asked.fresh}
    for key in removed:
        del result[key]
    return Resolved(records=dict(sorted(result.items())), removed=removed, findings=asked.findings, empty=asked.empty)


def from_records(repository: Repository, scope: Scope) -> Resolved:
    """What the committed records say, without the registry: a model that m2g.yaml no longer selects is removed."""
    config, records = repository.config, repository.records
    removed = tuple(
        key
        for key, record in records.items()
        if key[1] not in config.environments or not matches_name(config, record.model)
    )
    others = msgspec.structs.replace(repository, images={})
    kept = {
        key: as_wished(repository if scope.includes(key, record.model) else others, record)
        for key, record in records.items()
        if key not in removed
    }
    return Resolved(
        records=kept,
        removed=removed,
        findings=(*stale_pins(repository.intents, kept), *unknown(repository, (), scope)),
    )


def registry_of(config: Config, root: Path, progress: Progress) -> Registry:
    """The registry that m2g.yaml or the environment names. A relative path in m2g.yaml starts at `root`."""
    if config.registry.uri is not UNSET:
        os.chdir(root)
    workspace = "" if config.registry.workspace is UNSET else config.registry.workspace
    return open_registry(find_registry_uri(config), workspace=workspace, progress=progress)


class _Answer(Value, frozen=True, kw_only=True):
    """What a run keeps of the registry's lists, which are as large as the fleet."""

    fresh: dict[Key, Release]
    removals: tuple[Key, ...]
    findings: tuple[Finding, ...]
    empty: bool


def _asked(repository: Repository, registry: Registry, scope: Scope, cache: Cache) -> _Answer:
    listing, made = _confirmed(repository, registry)
    targets = {key: t for key, t in sorted(made.targets.items()) if scope.includes(key, t.version.name)}
    tags = {model.name: model.tags for model in listing.models}
    fresh, wrong = _released(repository, registry, targets, tags, cache)
    found = (finding for finding in made.findings if _concerns(finding, scope, repository.config))
    return _Answer(
        fresh=fresh,
        removals=made.removals,
        findings=(*found, *unknown(repository, listing.models, scope), *wrong),
        empty=not listing.models,
    )


def _confirmed(repository: Repository, registry: Registry) -> tuple[Listing, Plan]:
    """The listing and the plan. Before anything is removed, that model is asked for by name.

    A page may have been short (MLflow pages by offset while rows come and go). A record of another registry is never
    removed: this registry cannot know.
    """
    records = repository.records
    listing = Listing(models=registry.list_models(), versions=registry.list_versions())
    made = _plan(repository, listing)
    elsewhere = {key for key in made.removals if records[key].registry != registry.identity}
    known = {model.name: model for model in listing.models}
    asked = {records[key].model for key in made.removals if key not in elsewhere}
    answers = {name: registry.find_model(name) for name in sorted(asked)}
    missed = [model for name, model in answers.items() if model is not None and model != known.get(name)]
    if missed:
        names = {model.name for model in missed}
        listing = Listing(
            models=[m for m in listing.models if m.name not in names] + missed,
            versions=[v for v in listing.versions if v.name not in names]
            + [version for name in sorted(names) for version in registry.list_versions(name)],
        )
        made = _plan(repository, listing)
    findings = [_foreign(key, records[key], registry.identity) for key in sorted(elsewhere)]
    removals = tuple(key for key in made.removals if key not in elsewhere)
    return listing, msgspec.structs.replace(made, removals=removals, findings=(*made.findings, *findings))


def _plan(repository: Repository, listing: Listing) -> Plan:
    return plan(repository.config, listing.models, listing.versions, repository.intents, repository.records)


def _released(
    repository: Repository,
    registry: Registry,
    targets: Mapping[Key, Target],
    tags: Mapping[str, Mapping[str, str]],
    cache: Cache,
) -> tuple[dict[Key, Release], list[Finding]]:
    """A record for each target. Versions are immutable: what a record knows of one is not asked again."""
    config, records = repository.config, repository.records
    # An image is a fact of the version: where one environment has it, the others get it too.
    known: dict[tuple[str, str], Release] = {
        (record.model, record.version): record
        for record in sorted(records.values(), key=lambda record: record.image is not None)
        if record.registry == registry.identity
    }
    wanted: dict[tuple[str, str], ModelVersion] = {}
    for target in targets.values():
        version = target.version
        record = known.get((version.name, version.version))
        if record is None or not _same(record, version) or _lacks_facts(record):
            wanted[version.name, version.version] = version
    unreadable: dict[tuple[str, str], InputError] = {}
    alike = Interner()
    for version, found in version_facts.of(registry, list(wanted.values()), cache):
        identity = (version.name, version.version)
        try:
            if not _keeps(known.get(identity), version, found):
                known[identity] = alike.intern(recorded(version, found, registry.identity))
        except InputError as error:
            unreadable[identity] = error
    fresh: dict[Key, Release] = {}
    findings: list[Finding] = []
    for key, target in targets.items():
        identity = (target.version.name, target.version.version)
        if identity in unreadable:
            findings.append(_unreadable(key, target, unreadable[identity]))
            continue
        acting = _acting(config, tags.get(target.version.name, {}), target.version.tags)
        release = msgspec.structs.replace(known[identity], environment=key[1], follows=target.follows, tags=acting)
        release = as_wished(repository, kept(repository, key[0], release))
        fresh[key] = remembered(repository, key[0], release)
    return fresh, findings


def as_wished(repository: Repository, release: Release) -> Release:
    """The release with the image that was built for this version just now, and without a row of somebody's data where
    m2g.yaml wants none in Git.
    """
    image = repository.images.get((release.model, release.version))
    if image is not None:
        release = msgspec.structs.replace(release, image=image)
    if repository.config.requests.values == "example" or release.mlmodel is None or not release.mlmodel.example:
        return release
    return msgspec.structs.replace(release, mlmodel=msgspec.structs.replace(release.mlmodel, example=""))


def _same(record: Release, version: ModelVersion) -> bool:
    """Whether a record is of this very version; a deleted and re-created model starts again at version 1."""
    run = record.run.id if record.run else ""
    return (record.created_at, record.source) == (version.created_at, version.source) and run == version.run_id


def _lacks_facts(record: Release) -> bool:
    """Whether an older m2g made the record, or the registry could not read a file: then it is asked again."""
    return record.mlmodel is not None and record.mlmodel.requirements is None


def _keeps(record: Release | None, version: ModelVersion, facts: VersionFacts) -> bool:
    """Whether a record that was asked for again is better than the answer: its files may be gone since."""
    return record is not None and _same(record, version) and (bool(facts.problem) or "MLmodel" not in facts.files)


def _acting(config: Config, model: Mapping[str, str], version: Mapping[str, str]) -> dict[str, str]:
    """Only allow-listed tags are kept; the version's win over the registered model's."""
    return {key: text for key, text in sorted({**model, **version}.items()) if key in config.tags}


def _concerns(finding: Finding, scope: Scope, config: Config) -> bool:
    return not scope.models or finding.model in scope.models or any(slug in finding.message for slug in scope.models)


def unknown(repository: Repository, models: Iterable[RegisteredModel], scope: Scope) -> list[Finding]:
    """A `--model` that neither a selected registered model nor a record answers to."""
    if not scope.models:
        return []
    config = repository.config
    names = {text for m in models if is_selected(config, m) for text in (m.name, find_slug(config, m.name))}
    names |= {text for (slug, _), record in repository.records.items() for text in (slug, record.model)}
    return [
        Finding(
            rule="model-unknown",
            model=name,
            message="no registered model of this name is in the fleet",
            hint="see the names in MLflow, and models.include in m2g.yaml",
        )
        for name in sorted(scope.models - names)
    ]


def _foreign(key: Key, record: Release, registry: str) -> Finding:
    return Finding(
        rule="record-of-another-registry",
        severity=Severity.WARNING,
        file=f"models/{key[0]}/releases/{key[1]}.json",
        model=record.model,
        environment=key[1],
        message=f"came from {record.registry}, and {registry} does not have it; it is kept",
        hint="if the model is really gone, delete the model's folder in a commit of your own",
    )


def _unreadable(key: Key, target: Target, error: InputError) -> Finding:
    return Finding(
        rule="version-unreadable",
        model=target.version.name,
        environment=key[1],
        message=f"version {target.version.version} ({target.follows}): {error.message}; {key[1]} stays as it is",
        hint=error.hint or "mend the version in MLflow, or move the alias to a good one",
    )
