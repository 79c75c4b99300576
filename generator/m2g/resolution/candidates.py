"""Which candidate joins a release record, from model.yaml and the registry, and what becomes of the one that it has."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

import msgspec
from msgspec import UNSET

from m2g.core.cache import Cache
from m2g.core.errors import InputError
from m2g.core.finding import Finding, Severity
from m2g.core.model import ModelVersion, RegisteredModel, Release
from m2g.core.variants import add_candidate, drop_candidate, find_candidate, name_predictor
from m2g.repository import layout
from m2g.repository.layout import Key
from m2g.repository.state import Repository, Scope
from m2g.resolution.decision import decide
from m2g.resolution.known_facts import find_changed, remember
from m2g.resolution.options import apply_options, select_tags
from m2g.resolution.release_image import keep_image, restore_image
from m2g.serving import gate
from m2g.serving.canary import choose_form, find_canary, find_same_version, locate, split_traffic
from m2g.serving.decide import choose_with_settings, resolve_serving

Read: TypeAlias = Callable[[Sequence[ModelVersion]], Mapping[tuple[str, str], Release | InputError]]
"""Versions → the record of each by (registered model, version), or why it cannot be read."""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What the registry lists of the models that have a canary. `verify` reads their candidates again."""

    models: Mapping[str, RegisteredModel]
    versions: Mapping[tuple[str, str], ModelVersion]
    verify: bool = False


class _Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate that enters a record."""

    version: ModelVersion
    follows: str


def find_promoted(repository: Repository, key: Key, version: ModelVersion) -> Release | None:
    """What the record says of its candidate, if that is the version which the environment follows now."""
    before = repository.records.get(key)
    candidate = None if before is None else find_candidate(before)
    if candidate is None or not _is(candidate, version):
        return None
    return candidate


def keep_predictor(repository: Repository, key: Key, release: Release) -> Release:
    """The release with the predictor's name: that of a candidate which is promoted, else the one before."""
    before = repository.records.get(key)
    if before is None or before.model != release.model:
        return release
    candidate = find_candidate(before)
    name = before.predictor
    if candidate is not None and candidate.identity == release.identity != before.identity:
        serving, _ = resolve_serving(repository, key[0], before)
        choice, _ = choose_with_settings(repository, before, serving)
        if choose_form(serving, choice) == "spec":
            name = name_predictor(before, candidate.version)
    return msgspec.structs.replace(release, predictor=name)


def list_releases(repository: Repository, fresh: Mapping[Key, Release], scope: Scope) -> dict[Key, Release]:
    """The releases that have a canary, had one, or have the name of a predictor to keep."""
    asked = {
        (slug, environment)
        for slug, intent in repository.intents.items()
        for environment, pin in intent.environments.items()
        if pin.canary is not UNSET
    }
    asked |= {key for key, record in repository.records.items() if record.variants or record.predictor}
    found = {key: fresh.get(key) or repository.records.get(key) for key in sorted(asked)}
    return {
        key: keep_predictor(repository, key, one)
        for key, one in found.items()
        if one is not None and scope.includes(key, one.model)
    }


def list_known(
    releases: Mapping[Key, Release],
    models: Iterable[RegisteredModel],
    versions: Iterable[ModelVersion],
    *,
    verify: bool,
) -> Known:
    """What the registry lists of the models of these releases."""
    names = {release.model for release in releases.values()}
    return Known(
        models={model.name: model for model in models if model.name in names},
        versions={(one.name, one.version): one for one in versions if one.name in names},
        verify=verify,
    )


def join_candidates(
    repository: Repository, releases: Mapping[Key, Release], known: Known, read: Read, cache: Cache
) -> tuple[dict[Key, Release], list[Finding]]:
    """The records that change because of a canary, and why a candidate stays out."""
    result: dict[Key, Release] = {}
    entering: dict[Key, _Wanted] = {}
    findings = [*find_same_version(repository, releases), *_list_moved(repository, known, releases)]
    owns = [own for key in releases if (own := _find_own(repository, key)) is not None]
    doubted = {one.identity for one in (owns if known.verify else find_changed(owns, cache))}
    for key, release in releases.items():
        own, wanted = _find_own(repository, key), _find_wanted(repository, key, release, known)
        gone = wanted is None or (isinstance(wanted, _Wanted) and _is(release, wanted.version))
        result[key] = drop_candidate(release) if gone or own is None else add_candidate(release, own)
        if isinstance(wanted, Finding):
            findings.append(wanted)
        elif wanted is not None and not gone and not (own is not None and _is_known(own, wanted, doubted)):
            entering[key] = wanted
    said = read(list({_identify(one): one.version for one in entering.values()}.values()))
    for key, one in entering.items():
        tags = select_tags(repository.config, known.models[one.version.name].tags, one.version.tags)
        answer = _complete(said.get(_identify(one)), key, one, tags)
        entered = _enter(repository, key, result[key], answer, cache)
        if isinstance(entered, Release):
            result[key] = entered
        else:
            findings += entered
    return {key: release for key, release in result.items() if release != repository.records.get(key)}, findings


def follow_model_yaml(repository: Repository, key: Key, release: Release) -> Release:
    """The release without a candidate that model.yaml does not want any more. The registry is not needed."""
    canary = find_canary(repository, *key)
    candidate = find_candidate(release)
    if candidate is None:
        return release
    unwanted = canary is None or (canary.version is UNSET and canary.alias is UNSET)
    return drop_candidate(release) if unwanted or candidate.identity == release.identity else release


def _find_own(repository: Repository, key: Key) -> Release | None:
    before = repository.records.get(key)
    return None if before is None else find_candidate(before)


def _find_wanted(repository: Repository, key: Key, release: Release, known: Known) -> _Wanted | Finding | None:
    """The version that model.yaml asks for; None if there is no candidate, a finding if it cannot be one."""
    canary, own, model = find_canary(repository, *key), _find_own(repository, key), known.models.get(release.model)
    if canary is None:
        return None
    slug, environment = key
    number = "" if canary.version is UNSET else str(canary.version)
    follows = "canary in model.yaml"
    if not number and canary.alias is not UNSET:
        follows = f"alias {canary.alias}"
        number = model.aliases.get(canary.alias, "") if model is not None else "" if own is None else own.version
    abort = f"end the canary: m2g canary {slug} --env {environment} abort"
    if own is not None and (own.model, own.version) not in known.versions:  # MLflow drops its aliases, too
        message = f"the candidate, version {own.version}, is gone from the registry; it keeps running"
        return locate(
            Finding(rule="canary-gone", severity=Severity.WARNING, message=message, hint=abort), slug, release
        )
    if not number:
        return None
    version = known.versions.get((release.model, number))
    if version is not None and version.status == "READY":
        return _Wanted(version=version, follows=follows)
    state = "does not exist" if version is None else f"is {version.status}, not READY"
    message = f"the candidate, version {number} ({follows}), {state}; {environment} does not change"
    return locate(
        Finding(rule="canary-not-ready", message=message, hint=f"choose a version that is READY, or {abort}"),
        slug,
        release,
    )


def _is_known(own: Release, wanted: _Wanted, doubted: Container[object]) -> bool:
    """Whether the record has this candidate already, and nothing says that its facts were changed."""
    return _is(own, wanted.version) and own.follows == wanted.follows and own.identity not in doubted


def _identify(one: _Wanted) -> tuple[str, str]:
    return one.version.name, one.version.version


def _complete(
    said: Release | InputError | None, key: Key, wanted: _Wanted, tags: dict[str, str]
) -> Release | InputError:
    if not isinstance(said, Release):
        return said or InputError("the registry does not answer for it")
    return msgspec.structs.replace(said, environment=key[1], follows=wanted.follows, tags=tags)


def _enter(
    repository: Repository, key: Key, release: Release, candidate: Release | InputError, cache: Cache
) -> Release | list[Finding]:
    """The release with a new candidate that can be served beside it, or why it stays out."""
    slug = key[0]
    if isinstance(candidate, InputError):
        hint = candidate.hint or "register the version again, or choose another candidate"
        return [
            locate(
                Finding(rule="canary-unreadable", message=f"the candidate: {candidate.message}", hint=hint),
                slug,
                release,
            )
        ]
    of_model = {(slug, one): repository.records.get((slug, one)) for one in repository.config.environments}
    records = {place: record for place, record in of_model.items() if record is not None and place != key}
    own = _find_own(repository, key)
    if own is not None and own.identity == candidate.identity:
        records[key] = own
    remember((candidate,), cache)
    alone = msgspec.structs.replace(repository, records=records, up_to_date=frozenset())
    candidate = apply_options(repository, keep_image(alone, slug, candidate, cache))
    decided = decide(alone, slug, restore_image(alone, slug, candidate, cache))
    if isinstance(decided, Finding):
        return [_explain(decided, release, candidate)]
    joined = add_candidate(release, decided)
    serving, problems = resolve_serving(repository, slug, release)
    choice, more = choose_with_settings(repository, release, serving)
    if problems or more:  # of the stable version: rendering says so
        return joined
    split, findings = split_traffic(repository, slug, joined, serving, choice)
    if not findings and split is not None and split.candidate is not None:
        findings = gate.check_change(decided, split.candidate.choice, layout.model_yaml(slug))
    return [_explain(one, release, decided) for one in findings] or joined


def _explain(finding: Finding, release: Release, candidate: Release) -> Finding:
    message = finding.message
    if not finding.rule.startswith("canary-"):
        message = f"the candidate, version {candidate.version}, stays out: {message}"
    return msgspec.structs.replace(finding, message=message, model=release.model, environment=release.environment)


def _is(record: Release, version: ModelVersion) -> bool:
    """Whether a record is of this version: a model that was deleted and created again starts at version 1."""
    one = (record.model, record.version, record.created_at, record.source)
    return one == (version.name, version.version, version.created_at, version.source)


def _list_moved(repository: Repository, known: Known, records: Mapping[Key, Release]) -> Iterator[Finding]:
    """A warning for each canary whose alias has moved on, while its share is that of an earlier version."""
    for key, release in sorted(records.items()):
        canary, model = find_canary(repository, *key), known.models.get(release.model)
        if canary is None or model is None or canary.alias is UNSET or canary.version is UNSET:
            continue
        number = model.aliases.get(canary.alias, "")
        if number not in ("", str(canary.version), release.version):
            message = (
                f"the alias {canary.alias} is version {number} now; the canary of version {canary.version} goes on"
            )
            hint = f"begin again with it: m2g canary {key[0]} --env {key[1]} start"
            yield locate(
                Finding(rule="canary-moved", severity=Severity.WARNING, message=message, hint=hint),
                key[0],
                release,
                "alias",
            )
