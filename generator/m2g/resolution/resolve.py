"""Read the registry and decide which release records the repository should have."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import msgspec
from msgspec import UNSET

from m2g.core.cache import Cache
from m2g.core.config_types import Config
from m2g.core.errors import InputError
from m2g.core.finding import Finding
from m2g.core.interning import Interner
from m2g.core.model import ModelVersion, RegisteredModel, Release, Replaced, Value
from m2g.core.proposal_types import TagGroup
from m2g.core.redact import find_secrets
from m2g.core.serving_environment import RecordedEnvironment
from m2g.registry import Progress, Registry, Trust, open_registry
from m2g.registry.errors import RequestFailed
from m2g.repository import layout
from m2g.repository.layout import Key
from m2g.repository.selection import HeldSlugs, hold_slugs, is_selected_anywhere, list_slugs, matches_name
from m2g.repository.state import Repository, Scope
from m2g.repository.trusted_registry import choose_registry
from m2g.resolution import candidates, reasons
from m2g.resolution.decision import decide, find_outdated
from m2g.resolution.holds import describe_replaced, leave_reverted
from m2g.resolution.known_facts import find_changed, remember
from m2g.resolution.options import apply_options, select_tags
from m2g.resolution.release_image import keep_image, restore_image
from m2g.resolution.release_record import build_record, find_differences, lacks_facts
from m2g.resolution.targets import Plan, Target, find_stale_pins, plan
from m2g.resolution.version_facts import read_version_facts
from m2g.serving.canary import find_same_version
from m2g.serving.storage_uri import to_cluster_uri

Identity: TypeAlias = tuple[str, str]
"""(registered model, version)."""
_REFERENCES = ("models", "runs", "dbfs")
"""Schemes of sources for which a registry answers with another URI."""


class Resolved(Value, frozen=True, kw_only=True):
    """The records that the repository should have. `removed` are the models that the registry no longer has.

    `empty` tells that the registry has no model at all: it may be the wrong one, or its database may be lost. `tags`
    are those of registered models by which m2g.yaml groups proposals.
    `environments` are all serving environments, if some are not on the branch yet.
    """

    records: dict[Key, Release]
    removed: tuple[Key, ...]
    findings: tuple[Finding, ...]
    empty: bool = False
    tags: Mapping[str, Mapping[str, str]] = {}
    environments: dict[str, RecordedEnvironment] = {}


class Listing(Value, frozen=True, kw_only=True):
    """Everything that the registry lists."""

    models: list[RegisteredModel]
    versions: list[ModelVersion]


def resolve(
    repository: Repository, registry: Registry, scope: Scope, cache: Cache, *, verify: bool = False
) -> Resolved:
    """Read from the registry which version each environment follows now.

    If a version cannot be read, its environment keeps the old record, with a finding. `verify` compares also the
    records that do not change with the registry.
    Raises OutsideError if the registry's answers are incomplete: then nothing may change.
    """
    records = repository.records
    answer = _ask_registry(repository, registry, scope, cache, verify=verify)
    removed = tuple(key for key in answer.removals if scope.includes(key, records[key].model))
    result = {**records, **answer.fresh}
    for key in removed:
        del result[key]
    return Resolved(
        records=dict(sorted(result.items())),
        removed=removed,
        findings=answer.findings,
        empty=answer.empty,
        tags=answer.tags,
    )


def resolve_from_records(repository: Repository, scope: Scope) -> Resolved:
    """Use the committed records without the registry. A model that m2g.yaml no longer selects is removed."""
    config, records = repository.config, repository.records
    removed = tuple(key for key, record in records.items() if not matches_name(config, key[1], record.model))
    others = msgspec.structs.replace(repository, images={})
    kept: dict[Key, Release] = {}
    refused: list[Finding] = []
    for key, record in records.items():
        if key in removed:
            continue
        release = apply_options(repository if scope.includes(key, record.model) else others, record)
        release = candidates.follow_model_yaml(repository, key, release)
        decided = release if release.image == record.image else decide(repository, key[0], release)
        if isinstance(decided, Finding):
            refused.append(decided)
        kept[key] = record if isinstance(decided, Finding) else decided
    findings = (*find_stale_pins(repository.intents, kept), *find_unknown_models(repository, (), scope), *refused)
    findings = (*findings, *find_same_version(repository, kept))
    return Resolved(records=kept, removed=removed, findings=(*findings, *find_outdated(repository, kept)))


def open_configured_registry(
    config: Config, root: Path, progress: Progress, *, paths: Path | None = None, patience: float = 60
) -> Registry:
    """Open the registry that m2g.yaml or MLFLOW_TRACKING_URI names.

    A path in m2g.yaml is relative to `paths`, else to `root`, whose base branch decides about the credentials.
    `patience` is as in `open_registry`.
    """
    chosen = choose_registry(root, config)
    if config.registry.uri is not UNSET:
        os.chdir(paths or root)
    return open_registry(
        chosen.uri,
        workspace=chosen.workspace,
        progress=progress,
        patience=patience,
        trust=Trust(distrust=chosen.distrust, may_read=lambda uri: not chosen.distrust and is_in_storage(config, uri)),
    )


def is_in_storage(config: Config, uri: str) -> bool:
    """Whether an environment allows models from this place: whatever an author names, m2g reads nothing else."""
    for environment in config.environments.values():
        rewrites = (*environment.storage.rewrites, *config.storage.rewrites)
        try:
            to_cluster_uri(uri, rewrites, environment.storage.allow or config.storage.allow)
        except InputError:
            continue
        return True
    return False


class _Answer(Value, frozen=True, kw_only=True):
    """What a run keeps from the registry's lists, which are as large as the fleet."""

    fresh: dict[Key, Release]
    removals: tuple[Key, ...]
    findings: tuple[Finding, ...]
    empty: bool
    tags: Mapping[str, Mapping[str, str]]


def _ask_registry(repository: Repository, registry: Registry, scope: Scope, cache: Cache, *, verify: bool) -> _Answer:
    listing, decided = _list_and_plan(repository, registry)
    targets = {key: t for key, t in sorted(decided.targets.items()) if scope.includes(key, t.version.name)}
    targets, left, notes = leave_reverted(repository, targets)
    asked = _Asked(tags={model.name: model.tags for model in listing.models}, left=left, verify=verify)
    fresh, unreadable = _build_records(repository, registry, targets, asked, cache)
    stays = msgspec.structs.replace(repository, records=_without(repository.records, decided.removals))
    canaries = candidates.list_releases(stays, fresh, scope)
    listed = candidates.list_known(canaries, listing.models, listing.versions, verify=verify)
    joined, out = candidates.join_candidates(
        stays, canaries, listed, lambda versions: _read_candidates(registry, versions, cache), cache
    )
    held = hold_slugs(repository.config, repository.records)
    findings = (finding for finding in decided.findings if _concerns(finding, scope, repository.config, held))
    return _Answer(
        fresh={**fresh, **joined},
        removals=decided.removals,
        findings=(*findings, *notes, *find_unknown_models(repository, listing.models, scope), *unreadable, *out),
        empty=not listing.models,
        tags=_pick_tags(repository.config, listing.models),
    )


def _pick_tags(config: Config, models: Iterable[RegisteredModel]) -> dict[str, dict[str, str]]:
    """Of each registered model the tags that decide about its group of proposals."""
    keys = {group.tag.partition("=")[0] for group in config.proposals.groups.values() if isinstance(group, TagGroup)}
    picked = {model.name: {key: value for key, value in model.tags.items() if key in keys} for model in models}
    return {name: tags for name, tags in picked.items() if tags}


def _list_and_plan(repository: Repository, registry: Registry) -> tuple[Listing, Plan]:
    """The listing and the plan. Before a model is removed, m2g asks for it by name.

    A listing may miss models: MLflow pages by offset, while other clients add and delete rows. A record of another
    registry is never removed, because this registry cannot know about it.
    """
    records = repository.records
    listing = Listing(models=registry.list_models(), versions=registry.list_versions())
    decided = _plan(repository, listing)
    elsewhere = {key for key in (*decided.removals, *decided.lost) if records[key].registry != registry.identity}
    listed = {model.name: model for model in listing.models}
    doubtful = {records[key].model for key in decided.removals if key not in elsewhere}
    answers, refused = _ask_by_name(registry, sorted(doubtful))
    missed = [model for name, model in answers.items() if model is not None and model != listed.get(name)]
    if missed:
        names = {model.name for model in missed}
        listing = Listing(
            models=[m for m in listing.models if m.name not in names] + missed,
            versions=[v for v in listing.versions if v.name not in names]
            + [version for name in sorted(names) for version in registry.list_versions(name)],
        )
        decided = _plan(repository, listing)
    unknown = {key: refused[records[key].model] for key in decided.removals if records[key].model in refused}
    findings = [reasons.other_registry(key, records[key], registry.identity) for key in sorted(elsewhere)]
    findings += [reasons.version_deleted(key, records[key]) for key in decided.lost if key not in elsewhere]
    findings += [
        reasons.model_unreadable(key, records[key], error) for key, error in unknown.items() if key not in elsewhere
    ]
    removals = tuple(key for key in decided.removals if key not in elsewhere and key not in unknown)
    return listing, msgspec.structs.replace(decided, removals=removals, findings=(*decided.findings, *findings))


def _ask_by_name(
    registry: Registry, names: Iterable[str]
) -> tuple[dict[str, RegisteredModel | None], dict[str, RequestFailed]]:
    """The models with these names, and the errors of those about which the registry does not answer."""
    answers: dict[str, RegisteredModel | None] = {}
    refused: dict[str, RequestFailed] = {}
    for name in names:
        try:
            answers[name] = registry.find_model(name)
        except RequestFailed as error:
            refused[name] = error
    return answers, refused


def _plan(repository: Repository, listing: Listing) -> Plan:
    return plan(repository.config, listing.models, listing.versions, repository.intents, repository.records)


def _find_replaced(repository: Repository, key: Key, said: Release, left: Mapping[Key, Replaced]) -> Replaced | None:
    """The record of the same model that this one replaces: what the own record says, as long as the version stays."""
    before = repository.records.get(key)
    if before is None or before.model != said.model:
        return None
    if before.identity == said.identity:
        return left.get(key, before.replaces)
    return describe_replaced(repository, key, before)


def _build_records(
    repository: Repository, registry: Registry, targets: Mapping[Key, Target], asked: _Asked, cache: Cache
) -> tuple[dict[Key, Release], list[Finding]]:
    """A record for each target. Versions are immutable: m2g does not read again what an environment's own record has.

    What enters an environment is what the registry says. The record of another environment is no evidence: whoever may
    change dev would so write to prod.
    """
    own = {key: record for key, target in targets.items() if (record := _find_own(repository, registry, key, target))}
    standing = msgspec.structs.replace(repository, records={**repository.records, **own})
    changed = {record.identity for record in find_changed(own.values(), cache)}
    missing = {
        _identify(target): target.version
        for key, target in targets.items()
        if asked.verify or key not in own or own[key].identity in changed or _must_be_read(own[key])
    }
    read = _read_records(registry, list(missing.values()), cache)
    entering = {_identify(target) for key, target in targets.items() if key not in own}
    findings = reasons.no_route({identity: text for identity, text in read.no_route.items() if identity in entering})
    fresh: dict[Key, Release] = {}
    for key, target in targets.items():
        identity, before = _identify(target), own.get(key)
        said = read.records.get(identity)
        if said is not None:
            remember((said,), cache)
        if before is not None:
            said, different = _compare(before, said)
            findings += [reasons.record_differs(key, before, different)] if different else []
            remember((said,) if identity in read.records else (), cache)
        elif said is not None:
            findings += [reasons.run_unreadable(key, target, note) for note in read.notes.get(identity, ())]
        else:
            findings += [
                reasons.version_unreadable(key, target, error) for error in (read.unreadable.get(identity),) if error
            ]
            continue
        allowed = select_tags(repository.config, asked.tags.get(target.version.name, {}), target.version.tags)
        replaces = _find_replaced(repository, key, said, asked.left)
        release = msgspec.structs.replace(
            said, environment=key[1], follows=target.follows, tags=allowed, replaces=replaces
        )
        decided = _decide(standing, key[0], release, cache)
        if isinstance(decided, Finding):
            findings.append(decided)
        else:
            fresh[key] = decided
    return fresh, findings


def _decide(repository: Repository, slug: str, release: Release, cache: Cache) -> Release | Finding:
    """The release with its image and with how it is served."""
    release = apply_options(repository, keep_image(repository, slug, release, cache))
    return decide(repository, slug, restore_image(repository, slug, release, cache))


class _Asked(Value, frozen=True, kw_only=True):
    """`tags` are those of registered models, by name. `left` has the record that a person moved a pinned release back
    from. `verify` reads every version again, also what records have."""

    tags: Mapping[str, Mapping[str, str]]
    left: Mapping[Key, Replaced]
    verify: bool


class _Read(msgspec.Struct, frozen=True, kw_only=True):
    """What the registry says about versions, each by (name, version).

    `no_route` are those that no version of this server could avoid: they are one problem together.
    """

    records: dict[Identity, Release] = {}
    unreadable: dict[Identity, InputError] = {}
    no_route: dict[Identity, str] = {}
    notes: dict[Identity, tuple[str, ...]] = {}


def _read_records(registry: Registry, versions: Sequence[ModelVersion], cache: Cache) -> _Read:
    read = _Read()
    interner = Interner()
    for version, facts in read_version_facts(registry, versions, cache):
        identity = (version.name, version.version)
        try:
            read.records[identity] = interner.intern(build_record(version, facts, registry.identity))
        except InputError as error:
            if facts.no_route:
                read.no_route[identity] = error.message
            else:
                read.unreadable[identity] = error
        else:
            read.notes[identity] = facts.notes
    return read


def _read_candidates(
    registry: Registry, versions: Sequence[ModelVersion], cache: Cache
) -> dict[Identity, Release | InputError]:
    read = _read_records(registry, versions, cache) if versions else _Read()
    refused = {identity: InputError(text) for identity, text in read.no_route.items()}
    return {**read.records, **read.unreadable, **refused}


def _without(records: Mapping[Key, Release], keys: Iterable[Key]) -> dict[Key, Release]:
    gone = frozenset(keys)
    return {key: record for key, record in records.items() if key not in gone} if gone else dict(records)


def _identify(target: Target) -> Identity:
    return target.version.name, target.version.version


def _find_own(repository: Repository, registry: Registry, key: Key, target: Target) -> Release | None:
    """The environment's own record, if it is of the version that the environment follows now."""
    record, version = repository.records.get(key), target.version
    record = candidates.find_promoted(repository, key, version) or record
    if record is None or (record.registry, record.model, record.version) != (registry.identity, *_identify(target)):
        return None
    return record if _is_same(record, version) else None


def _compare(before: Release, said: Release | None) -> tuple[Release, tuple[str, ...]]:
    """The record to write, of the environment's own and what the registry says, and what is wrong in the own one."""
    if said is None or (said.mlmodel is None and said.artifact_uri == before.artifact_uri):
        return before, ()  # the registry knows less by now: the version's files may have been deleted since
    different = find_differences(before, said)
    said = msgspec.structs.replace(said, schema=before.schema, serving=None if different else before.serving)
    if _holds_secret(before):
        return said, ()
    return (said if different or _must_be_read(before) or lacks_facts(before, said) else before), different


def _must_be_read(record: Release) -> bool:
    """Whether to read the version again, although the environment has a record of it."""
    return _lacks_facts(record) or _holds_secret(record) or _is_elsewhere(record)


def _is_same(record: Release, version: ModelVersion) -> bool:
    """Whether a record is of this version: a model that was deleted and created again starts at version 1."""
    run = record.run.id if record.run else ""
    return (record.created_at, record.source) == (version.created_at, version.source) and run == version.run_id


def _lacks_facts(record: Release) -> bool:
    """Whether facts are missing because an older m2g wrote the record, or because a file could not be read."""
    return record.mlmodel is not None and record.mlmodel.requirements is None


def _is_elsewhere(record: Release) -> bool:
    """Whether a record names another place than the registry's list. A registry resolves references only."""
    scheme = record.source.partition(":")[0]
    return scheme not in _REFERENCES and record.artifact_uri != record.source


def _holds_secret(record: Release) -> bool:
    """Whether an older m2g wrote a secret of the registry into the record: reading the version again removes it."""
    texts = (record.source, record.artifact_uri, *(record.mlmodel.requirements or () if record.mlmodel else ()))
    example = record.mlmodel.example if record.mlmodel else ""
    return bool(find_secrets("\n".join((*texts, example, msgspec.json.encode(record.run).decode()))))


def _concerns(finding: Finding, scope: Scope, config: Config, held: HeldSlugs) -> bool:
    """Whether the finding is about a model in the scope, which names it by its registered name or by its slug."""
    location = layout.parse_path(finding.file)
    names = {finding.model, *list_slugs(config, finding.model, held), "" if location is None else location.slug}
    return not scope.models or not names.isdisjoint(scope.models)


def find_unknown_models(repository: Repository, models: Iterable[RegisteredModel], scope: Scope) -> list[Finding]:
    """A finding for each `--model` that matches neither a selected registered model nor a record."""
    if not scope.models:
        return []
    config, held = repository.config, hold_slugs(repository.config, repository.records)
    chosen = [model.name for model in models if is_selected_anywhere(config, model)]
    names = {text for name in chosen for text in (name, *list_slugs(config, name, held))}
    names |= {text for (slug, _), record in repository.records.items() for text in (slug, record.model)}
    return [
        Finding(
            rule="model-unknown",
            model=name,
            message="no registered model with this name or slug is selected",
            hint="check the name in MLflow, and models.include and models.exclude in m2g.yaml",
        )
        for name in sorted(scope.models - names)
    ]
