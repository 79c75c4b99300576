"""Decide which version of each model each environment runs, from the settings and the registry's listing."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import UNSET

from m2g.core import naming
from m2g.core.config_types import Config, Environment, ModelIntent
from m2g.core.finding import Finding, Severity
from m2g.core.model import ModelVersion, RegisteredModel, Release, Value
from m2g.core.redact import find_secrets, redact
from m2g.repository import layout
from m2g.repository.layout import Key
from m2g.repository.selection import find_slug, hold_slugs, is_selected, matches_name


class Target(Value, frozen=True, kw_only=True):
    """The version that an environment should run, and why (`alias champion`, `pinned in model.yaml`)."""

    version: ModelVersion
    follows: str


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
    by_model, by_slug = _group_by_model(versions), _group_by_slug(records)
    claims, findings = _claims(config, models, hold_slugs(records))
    fleet: dict[str, RegisteredModel] = {}
    collided: set[str] = set()
    for slug, claimants in claims.items():
        idle = _find_idle(config, claimants, by_slug.get(slug, {}), intents.get(slug, ModelIntent()), by_model)
        active = [model for model in claimants if model.name not in idle]
        names = _names(active, by_slug.get(slug, {}), by_model)
        fleet.update((slug, model) for model in active if model.name == names[0])
        findings += _list_collisions(slug, names, idle)
        collided.update([slug] if len(names) > 1 else ())
    targets: dict[Key, Target] = {}
    kept: set[Key] = set()
    for slug, model in sorted(fleet.items()):
        for name, environment in config.environments.items():
            intent = intents.get(slug, ModelIntent())
            target = _find_target(model, name, environment, intent, by_model[model.name])
            if isinstance(target, Finding):
                findings.append(target)
                kept.add((slug, name))
            elif target is not None:
                targets[slug, name] = target
            elif not _follows(environment):
                kept.add((slug, name))
        findings += _find_near_misses(config, slug, model, targets, intents.get(slug, ModelIntent()))
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
    config: Config, models: Iterable[RegisteredModel], held: Mapping[str, str]
) -> tuple[dict[str, list[RegisteredModel]], list[Finding]]:
    """Slug → the selected models that map to it, sorted by name."""
    by_slug: dict[str, list[RegisteredModel]] = defaultdict(list)
    findings: list[Finding] = []
    for model in sorted(models, key=lambda model: model.name):
        if not is_selected(config, model):
            continue
        bad = naming.find_unprintable(model.name)
        if redact(model.name) != model.name:
            findings.append(_secret(model.name))
        elif bad:
            findings.append(_unprintable(model.name, bad))
        else:
            by_slug[find_slug(config, model.name, held)].append(model)
    return by_slug, findings


def _find_idle(
    config: Config,
    claimants: Sequence[RegisteredModel],
    records: Mapping[str, Release],
    intent: ModelIntent,
    versions: Mapping[str, Mapping[str, ModelVersion]],
) -> frozenset[str]:
    """Of several models with one slug, those that no environment runs and none asks for."""
    if len(claimants) < 2:
        return frozenset()
    holders = {record.model for record in records.values()}
    wanted = {
        model.name
        for model in claimants
        for name, environment in config.environments.items()
        if _is_wanted(model, name, environment, intent, versions.get(model.name, {}))
    }
    return frozenset(model.name for model in claimants) - wanted - holders


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
    claimants: Sequence[RegisteredModel],
    records: Mapping[str, Release],
    versions: Mapping[str, Mapping[str, ModelVersion]],
) -> list[str]:
    """The registered names that map to one slug. The first one gets it; it is empty if none does.

    A model that has records keeps its slug. If others claim it, too, its records must be of its versions and agree in
    all environments: whoever edits the record of one environment decides nothing for the others. A model that was
    renamed in MLflow is recognized by its versions, which keep their creation time and source.
    """
    names = [model.name for model in claimants]
    holders = {record.model for record in records.values()} & set(names)
    if len(names) == 1 and (holders or not records):
        return names
    proven = {
        record.model for record in records.values() if record.model in names and _is(record, versions[record.model])
    }
    if len(holders) == 1 and proven:
        return [*holders, *(name for name in names if name not in holders)]
    if holders or not records:
        return ["", *names]
    holder = next(record.model for record in records.values())
    renamed = [name for name in names if any(_is(record, versions[name]) for record in records.values())]
    if len(names) == 1 and renamed:
        return names
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


def _find_near_misses(
    config: Config, slug: str, model: RegisteredModel, targets: Mapping[Key, Target], intent: ModelIntent
) -> Iterator[Finding]:
    """A note for each environment that follows an alias which the model has in another spelling only."""
    for name, environment in config.environments.items():
        alias = environment.follow.alias
        if alias is UNSET or alias in model.aliases or (slug, name) in targets or name in intent.environments:
            continue
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
    if environment is None or not matches_name(config, record.model):
        return False
    pin = intents.get(key[0], ModelIntent()).environments.get(key[1])
    return not _follows(environment) or (pin is not None and pin.version is not UNSET)


def _lost_its_version(
    key: Key,
    record: Release,
    fleet: Mapping[str, RegisteredModel],
    versions: Mapping[str, Mapping[str, ModelVersion]],
) -> bool:
    """Whether somebody deleted the version that runs. MLflow then drops its aliases, so nobody asked to stop it."""
    model = fleet.get(key[0])
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


def _note_collision(slug: str, name: str) -> Finding:
    return Finding(
        rule="slug-collision",
        severity=Severity.WARNING,
        file=layout.CONFIG,
        path="models.slugs",
        model=name,
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


def _list_collisions(slug: str, names: Sequence[str], idle: Iterable[str]) -> list[Finding]:
    """An error for each model that cannot get its slug, and a note for each that does not need it yet."""
    others = sorted(filter(None, names))
    return [*(_note_collision(slug, name) for name in sorted(idle)), *(_collision(slug, n, others) for n in names[1:])]


def _collision(slug: str, name: str, names: Sequence[str]) -> Finding:
    return Finding(
        rule="slug-collision",
        file=layout.CONFIG,
        path="models.slugs",
        model=name,
        message=f"{' and '.join(repr(n) for n in names)} map to the same slug {slug!r}",
        hint=f"give one of them another slug in m2g.yaml: models.slugs: {{{name!r}: another-name}}",
    )
