"""Decide which version of each model each environment runs, from the settings and the registry's listing."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from msgspec import UNSET

from m2g.core import naming
from m2g.core.config_types import Config, Environment, ModelIntent
from m2g.core.finding import Finding, Severity
from m2g.core.model import ModelVersion, RegisteredModel, Release, Value
from m2g.core.redact import find_secrets, redact
from m2g.repository import layout
from m2g.repository.layout import Key
from m2g.repository.selection import HeldSlugs, find_shared_name, find_slug, hold_slugs, is_selected, matches_name


class Target(Value, frozen=True, kw_only=True):
    """The version that an environment should run, and why (`alias champion`, `pinned in model.yaml`)."""

    version: ModelVersion
    follows: str


Claim: TypeAlias = Mapping[str, RegisteredModel]
"""Environment → the registered model that it has of one shared name."""


class Plan(Value, frozen=True, kw_only=True):
    """`targets` are the releases to write; `removals` have a record, but nothing asks for them any more.

    `lost` have a record of a version that the registry does not have any more, and their model is still there.
    A key in none of them keeps its record: people move it by hand, or a finding forbids a change.
    """

    targets: dict[Key, Target]
    removals: tuple[Key, ...]
    lost: tuple[Key, ...] = ()
    findings: tuple[Finding, ...]


def plan(
    config: Config,
    models: Sequence[RegisteredModel],
    versions: Sequence[ModelVersion],
    intents: Mapping[str, ModelIntent],
    records: Mapping[Key, Release],
) -> Plan:
    """Decide for every selected model and environment. The order of the input does not matter."""
    by_model = _group_by_model(versions)
    fleet, collided, findings = _find_owners(config, models, intents, records, by_model)
    targets: dict[Key, Target] = {}
    kept: set[Key] = set()
    for (slug, name), model in fleet.items():
        environment, intent = config.environments[name], intents.get(slug, ModelIntent())
        target = _find_target(model, name, environment, intent, by_model[model.name])
        if isinstance(target, Finding):
            findings.append(target)
            kept.add((slug, name))
        elif target is not None:
            targets[slug, name] = target
        elif not _follows(environment):
            kept.add((slug, name))
        else:
            findings += _find_near_miss(config, name, model, intent)
    frozen = {finding.model for finding in findings if not finding.environment}
    gone = {key: record for key, record in records.items() if key not in targets and key not in kept}
    held = {key: record for key, record in gone.items() if _is_held(config, key, record, intents)}
    findings += [_model_gone(key, record) for key, record in sorted(held.items()) if record.model not in frozen]
    lost = {key for key, record in gone.items() if key not in held and _lost_its_version(key, record, fleet, by_model)}
    lost = {key for key in lost if key[1] in config.environments}
    removals = sorted(
        key
        for key, record in gone.items()
        if not (key in held or key in lost or record.model in frozen or key[0] in collided)
    )
    return Plan(targets=targets, removals=tuple(removals), lost=tuple(sorted(lost)), findings=tuple(findings))


def _find_owners(
    config: Config,
    models: Iterable[RegisteredModel],
    intents: Mapping[str, ModelIntent],
    records: Mapping[Key, Release],
    by_model: Mapping[str, Mapping[str, ModelVersion]],
) -> tuple[dict[Key, RegisteredModel], set[str], list[Finding]]:
    """The registered model of each slug and environment, and the slugs that several models want."""
    claims, findings = _claims(config, models, hold_slugs(config, records))
    by_slug = _group_by_slug(records)
    fleet: dict[Key, RegisteredModel] = {}
    collided: set[str] = set()
    for slug, claimants in sorted(claims.items()):
        before, intent = by_slug.get(slug, {}), intents.get(slug, ModelIntent())
        idle = _find_idle(config, claimants, before, intent, by_model)
        active = {name: claim for name, claim in claimants.items() if name not in idle}
        names = _names(config, active, before, by_model)
        fleet.update(((slug, place), model) for place, model in active.get(names[0], {}).items())
        findings += _list_collisions(slug, names, idle, claimants)
        collided.update([slug] if len(names) > 1 else ())
    return fleet, collided, findings


def find_stale_pins(intents: Mapping[str, ModelIntent], records: Mapping[Key, Release]) -> list[Finding]:
    """A finding for each pin that is not rendered: the record has another version."""
    findings = []
    for slug, intent in sorted(intents.items()):
        for environment, pin in intent.environments.items():
            record = records.get((slug, environment))
            if pin.version is UNSET or (record is not None and record.version == str(pin.version)):
                continue
            findings.append(
                Finding(
                    rule="pin-not-rendered",
                    file=layout.model_yaml(slug),
                    path=f"environments.{environment}.version",
                    model=record.model if record else slug,
                    environment=environment,
                    message=f"the pin is version {pin.version}, but the release record "
                    f"{f'has version {record.version}' if record else 'does not exist'}",
                    hint=f"render it where the registry can be reached: m2g render --model {slug} --env {environment}",
                )
            )
    return findings


def _group_by_model(versions: Iterable[ModelVersion]) -> dict[str, dict[str, ModelVersion]]:
    groups: dict[str, dict[str, ModelVersion]] = defaultdict(dict)
    for version in versions:
        groups[version.name][version.version] = version
    return groups


def _group_by_slug(records: Mapping[Key, Release]) -> dict[str, dict[str, Release]]:
    groups: dict[str, dict[str, Release]] = defaultdict(dict)
    for (slug, environment), record in records.items():
        groups[slug][environment] = record
    return groups


def _claims(
    config: Config, models: Iterable[RegisteredModel], held: HeldSlugs
) -> tuple[dict[str, dict[str, Claim]], list[Finding]]:
    """Slug → the names, shared by environments, that map to it, sorted; and the registered model in each of them."""
    by_slug: dict[str, dict[str, dict[str, RegisteredModel]]] = defaultdict(dict)
    findings: list[Finding] = []
    for model in sorted(models, key=lambda model: model.name):
        places = [place for place in config.environments if is_selected(config, place, model)]
        bad = naming.find_unprintable(model.name)
        if places and redact(model.name) != model.name:
            findings.append(_secret(model.name))
            continue
        if places and bad:
            findings.append(_unprintable(model.name, bad))
            continue
        for place in places:
            slug = find_slug(config, place, model.name, held)
            by_slug[slug].setdefault(find_shared_name(config, place, model.name), {})[place] = model
    return {slug: dict(claimants) for slug, claimants in by_slug.items()}, findings


def _find_idle(
    config: Config,
    claimants: Mapping[str, Claim],
    records: Mapping[str, Release],
    intent: ModelIntent,
    versions: Mapping[str, Mapping[str, ModelVersion]],
) -> frozenset[str]:
    """Of several names with one slug, those that no environment runs and none asks for."""
    if len(claimants) < 2:
        return frozenset()
    holders = {find_shared_name(config, place, record.model) for place, record in records.items()}
    wanted = {
        name
        for name, claim in claimants.items()
        for place, model in claim.items()
        if _is_wanted(model, place, config.environments[place], intent, versions.get(model.name, {}))
    }
    return frozenset(claimants) - wanted - holders


def _is_wanted(
    model: RegisteredModel,
    name: str,
    environment: Environment,
    intent: ModelIntent,
    versions: Mapping[str, ModelVersion],
) -> bool:
    """Whether the environment follows a version of this model, or a pin names one that exists: a pin is of a slug."""
    pinned = _find_target(model, name, environment, intent, versions)
    return isinstance(pinned, Target) or _followed_version(model, environment, versions) is not None


def _names(
    config: Config,
    claimants: Mapping[str, Claim],
    records: Mapping[str, Release],
    versions: Mapping[str, Mapping[str, ModelVersion]],
) -> list[str]:
    """The shared names that map to one slug. The first one gets it; it is empty if none does.

    A model that has records keeps its slug. If others claim it, too, its records must be of its versions and agree in
    all environments: whoever edits the record of one environment decides nothing for the others. A model that was
    renamed in MLflow is recognized by its versions, which keep their creation time and source.
    """
    names = list(claimants)
    recorded = {place: find_shared_name(config, place, record.model) for place, record in records.items()}
    holders = set(recorded.values()) & set(names)
    if len(names) == 1 and (holders or not records):
        return names
    proven = {
        recorded[place]
        for place, record in records.items()
        if recorded[place] in names and _is(record, versions[record.model])
    }
    if len(holders) == 1 and proven:
        return [*holders, *(name for name in names if name not in holders)]
    if holders or not records:
        return ["", *names]
    renamed = {
        name
        for name, claim in claimants.items()
        for place, record in records.items()
        for model in ([claim[place]] if place in claim else claim.values())
        if _is(record, versions[model.name])
    }
    if len(names) == 1 and renamed:
        return names
    holder = next(name or records[place].model for place, name in recorded.items())
    return ["", *sorted({holder, *names})]


def _is(record: Release, versions: Mapping[str, ModelVersion]) -> bool:
    version = versions.get(record.version)
    return version is not None and (version.created_at, version.source) == (record.created_at, record.source)


def _find_target(
    model: RegisteredModel,
    name: str,
    environment: Environment,
    intent: ModelIntent,
    versions: Mapping[str, ModelVersion],
) -> Target | Finding | None:
    pin = intent.environments.get(name)
    if pin is not None and pin.version is not UNSET:
        reason = f": {pin.reason}" if pin.reason is not UNSET else ""
        number, follows = str(pin.version), f"pinned in model.yaml{reason}"
    else:
        followed = _followed_version(model, environment, versions)
        if followed is None:
            return None
        number, follows = followed
    version = versions.get(number)
    if version is not None and version.status == "READY":
        return Target(version=version, follows=follows)
    state = "does not exist" if version is None else f"is {version.status}, not READY"
    return Finding(
        rule="version-not-ready",
        model=model.name,
        environment=name,
        message=f"version {number} ({follows}) {state}; {name} does not change",
        hint="move the alias or the pin to a version that is READY",
    )


def _followed_version(
    model: RegisteredModel, environment: Environment, versions: Mapping[str, ModelVersion]
) -> tuple[str, str] | None:
    follow = environment.follow
    if follow.alias is not UNSET:
        number = model.aliases.get(follow.alias)
        return None if number is None else (number, f"alias {follow.alias}")
    if follow.stage is not UNSET:
        stage = follow.stage
        return _highest((v for v in versions.values() if v.stage == stage), f"stage {stage}")
    if follow.tag is not UNSET:
        key, equals, value = follow.tag.partition("=")
        tagged = (v for v in versions.values() if key in v.tags and (not equals or v.tags[key] == value))
        return _highest(tagged, f"tag {follow.tag}")
    return None


def find_near_alias(wanted: str, aliases: Iterable[str]) -> str:
    """An alias that was probably meant: equal but for case, or off by a letter or two. Empty if there is none."""
    names = sorted(aliases)
    same = next((name for name in names if name.casefold() == wanted.casefold()), "")
    return same or next(iter(difflib.get_close_matches(wanted, names, n=1, cutoff=0.8)), "")


def _find_near_miss(config: Config, name: str, model: RegisteredModel, intent: ModelIntent) -> Iterator[Finding]:
    """A note if the environment follows an alias which the model has in another spelling only."""
    alias = config.environments[name].follow.alias
    if alias is UNSET or alias in model.aliases or name in intent.environments:
        return
    others = {one.follow.alias for one in config.environments.values()}
    near = find_near_alias(alias, (other for other in model.aliases if other not in others))
    if near:
        yield Finding(
            rule="alias-near",
            severity=Severity.WARNING,
            model=model.name,
            environment=name,
            message=f"{name} follows the alias {alias!r}; this model has {near!r}, which is another alias",
            hint="set the alias: MlflowClient().set_registered_model_alias"
            f"({model.name!r}, {alias!r}, {model.aliases[near]!r})",
        )


def _follows(environment: Environment) -> bool:
    follow = environment.follow
    return any(field is not UNSET for field in (follow.alias, follow.stage, follow.tag))


def _is_held(config: Config, key: Key, record: Release, intents: Mapping[str, ModelIntent]) -> bool:
    """Whether people hold this release: by a pin, or because they move its environment by hand.

    It ends when they remove the pin or the environment, or exclude the model in m2g.yaml.
    """
    environment = config.environments.get(key[1])
    if environment is None or not matches_name(config, key[1], record.model):
        return False
    pin = intents.get(key[0], ModelIntent()).environments.get(key[1])
    return not _follows(environment) or (pin is not None and pin.version is not UNSET)


def _lost_its_version(
    key: Key,
    record: Release,
    fleet: Mapping[Key, RegisteredModel],
    versions: Mapping[str, Mapping[str, ModelVersion]],
) -> bool:
    """Whether somebody deleted the version that runs. MLflow then drops its aliases, so nobody asked to stop it."""
    model = fleet.get(key)
    return model is not None and not _is(record, versions.get(model.name, {}))


def _model_gone(key: Key, record: Release) -> Finding:
    return Finding(
        rule="model-gone",
        severity=Severity.WARNING,
        file=layout.release(*key),
        model=record.model,
        environment=key[1],
        message="the registered model is gone or no longer selected; m2g keeps this release, which is held by hand",
        hint=f"to remove it, remove the pin from {layout.model_yaml(key[0])}, or add the model to models.exclude in "
        "m2g.yaml, and render",
    )


def _highest(versions: Iterable[ModelVersion], follows: str) -> tuple[str, str] | None:
    numbers = [version.version for version in versions if version.status == "READY"]
    return (max(numbers, key=lambda number: (len(number), number)), follows) if numbers else None


def _unprintable(name: str, bad: str) -> Finding:
    return Finding(
        rule="model-name-unprintable",
        model=name,
        message=f"the registered model's name contains {bad}, which kustomize corrupts",
        hint="rename the model in MLflow, or add it to models.exclude in m2g.yaml",
    )


def _note_collision(slug: str, name: str, model: str) -> Finding:
    return Finding(
        rule="slug-collision",
        severity=Severity.WARNING,
        file=layout.CONFIG,
        path="models.slugs",
        model=model,
        message=f"{name!r} maps to the slug {slug!r} of another model; no environment asks for it yet",
        hint=f"before you release it, give it another slug in m2g.yaml: models.slugs: {{{name!r}: another-name}}",
    )


def _secret(name: str) -> Finding:
    return Finding(
        rule="model-name-secret",
        model=redact(name),
        message=f"the registered model's name contains what looks like {find_secrets(name)[0].what}",
        hint="rename the model in MLflow, replace the secret, or exclude the model by a pattern in models.exclude",
    )


def _list_collisions(
    slug: str, names: Sequence[str], idle: Iterable[str], claimants: Mapping[str, Claim]
) -> list[Finding]:
    """An error for each model that cannot get its slug, and a note for each that does not need it yet."""
    others = sorted(filter(None, names))
    return [
        *(_note_collision(slug, name, model) for name in sorted(idle) for model in _list_models(claimants, name)),
        *(_collision(slug, name, model, others) for name in names[1:] for model in _list_models(claimants, name)),
    ]


def _list_models(claimants: Mapping[str, Claim], name: str) -> list[str]:
    """The registered models of a shared name; a record's model may be in no registry any more."""
    return sorted({model.name for model in claimants.get(name, {}).values()}) or [name]


def _collision(slug: str, name: str, model: str, names: Sequence[str]) -> Finding:
    return Finding(
        rule="slug-collision",
        file=layout.CONFIG,
        path="models.slugs",
        model=model,
        message=f"{' and '.join(repr(n) for n in names)} map to the same slug {slug!r}",
        hint=f"give one of them another slug in m2g.yaml: models.slugs: {{{name!r}: another-name}}",
    )
