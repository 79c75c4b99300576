"""`m2g explain --model`: why a model is in an environment or not, decision by decision."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

import msgspec
from msgspec import UNSET

from m2g.changes.update import RenderOptions, update
from m2g.core.config_types import Config, Environment
from m2g.core.errors import InputError
from m2g.core.finding import Finding, Severity
from m2g.core.model import ModelVersion, RegisteredModel, Release
from m2g.core.results import ChangeKind, EnvironmentReason, ModelReasons, RenderResult
from m2g.registry import Registry
from m2g.repository import layout, load
from m2g.repository.selection import (
    explain_selection,
    find_shared_name,
    find_slug,
    hold_slugs,
    is_selected,
    list_slugs,
)
from m2g.repository.state import Repository, Scope, check_environments
from m2g.resolution.targets import find_near_alias
from m2g.serving.decide import choose_serving
from m2g.serving.profile import IMAGE_MISSING


class _Model(msgspec.Struct, frozen=True, kw_only=True):
    """What the repository and the registry know of one model. `registered` is None if the registry has none."""

    name: str
    slug: str
    registered: RegisteredModel | None
    versions: tuple[ModelVersion, ...]

    @property
    def newest(self) -> str:
        """The newest version that is READY, for the commands in hints."""
        ready = [version.version for version in self.versions if version.status == "READY"]
        return max(ready, key=lambda number: (len(number), number), default="")


def explain_model(
    root: Path, name: str, environments: Collection[str], *, open_registry: Callable[[Config], Registry]
) -> ModelReasons:
    """Why the model `name` (registered name or slug) is or is not in each environment. Nothing is written.

    Raises InputError if neither the registry nor the repository has the model, and the errors of `update`.
    """
    repository = load.read_repository(root)
    check_environments(repository.config, Scope(environments=frozenset(environments)))
    registry = open_registry(repository.config)
    models = _find(repository, registry, name)
    names = frozenset(text for model in models.values() for text in (model.name, model.slug))
    options = RenderOptions(dry_run=True, scope=Scope(models=names))
    result = update(root, options, open_registry=lambda config: registry)
    first, *others = models.values()
    same = all(other == first for other in others)
    about = {place: tuple(_describe_model(repository, place, model)) for place, model in models.items()}
    shared = next(iter(about.values())) if len(set(about.values())) == 1 else ()
    return ModelReasons(
        model=first.name if same else find_shared_name(repository.config, next(iter(models)), first.name) or first.name,
        slug=first.slug,
        reasons=shared,
        environments=tuple(
            _explain(repository, model, place, result, () if shared else about[place])
            for place, model in models.items()
            if place in environments or not environments
        ),
    )


def _find(repository: Repository, registry: Registry, name: str) -> dict[str, _Model]:
    """The model that each environment has for a registered name or a slug. Raises InputError if there is none."""
    config, listed = repository.config, {model.name: model for model in registry.list_models()}
    held = hold_slugs(config, repository.records)
    selected = {
        (place, model.name): find_slug(config, place, model.name, held)
        for place in config.environments
        for model in listed.values()
        if is_selected(config, place, model)
    }
    recorded = [(record.model, slug) for (slug, _), record in repository.records.items()]
    chosen = {slug for (_, model), slug in selected.items() if name in (model, slug)}
    chosen = chosen or {slug for one in recorded if name in one for slug in one[1:]}
    if name in listed:
        chosen = chosen or set(list_slugs(config, name, held))
    if not chosen:
        near = difflib.get_close_matches(name, [*listed, *selected.values()], n=1)
        hint = "compare the name with MLflow's web page; a token needs READ on the model"
        hint = f"did you mean {near[0]}?" if near else hint
        raise InputError(f"the registry {registry.identity} has no model {name!r} that you may read", hint=hint)
    shared = {find_shared_name(config, place, model) for (place, model), slug in selected.items() if slug in chosen}
    shared = shared or {next((model for model, slug in recorded if slug in chosen), name)}
    found: dict[str, _Model] = {}
    for place in config.environments:
        here = sorted((model, slug) for (env, model), slug in selected.items() if env == place and slug in chosen)
        own = [one for one in here if name == one[0]] or here
        form = config.environments[place].models.name
        expected = name if name in listed and form == "{model}" else form.replace("{model}", min(shared))
        model, slug = own[0] if own else (expected, min(chosen))
        known = next((one for one in found.values() if one.name == model), None)
        versions = known.versions if known else tuple(registry.list_versions(model)) if model in listed else ()
        found[place] = _Model(name=model, slug=slug, registered=listed.get(model), versions=versions)
    return found


def _describe_model(repository: Repository, environment: str, model: _Model) -> Iterator[str]:
    own = repository.config.environments[environment].models.name != "{model}"
    what = f"its registered model is {model.name}" if own else "registered"
    if model.registered is None:
        missing = f"model {model.name}" if own else "model with this name any more"
        yield f"the registry has no {missing}, or you may not read it"
        return
    newest = f"; the newest that is READY is {model.newest}" if model.newest else ", none of them READY"
    count = len(model.versions)
    yield f"{what}, with {count} version{'' if count == 1 else 's'}{newest if count else ''}"
    yield explain_selection(repository.config, environment, model.registered)
    yield f"its slug is {model.slug}"


def _explain(
    repository: Repository, model: _Model, environment: str, result: RenderResult, about: tuple[str, ...]
) -> EnvironmentReason:
    key = (model.slug, environment)
    record = repository.records.get(key)
    findings = [one for one in result.findings if one.model in (model.name, model.slug)]
    findings = [one for one in findings if one.environment in ("", environment) and one.rule != "alias-near"]
    change = next((one for one in result.releases if (one.slug, one.environment) == key), None)
    follows, advice = _describe_follow(repository, model, environment)
    served = next((f"{one.profile}: {one.reason}" for one in result.served if (one.slug, one.environment) == key), "")
    if not served and record is not None and change is None:
        choice = choose_serving(repository, model.slug, record)
        served = f"{choice.profile}: {choice.reason}"
    errors = [one for one in findings if one.severity is Severity.ERROR or one.rule == IMAGE_MISSING]
    outcome, step = _conclude(environment, record, change.kind if change else None, change.after if change else "")
    if errors:
        step = errors[0].hint
    elif not step and (record is None or change is not None):
        step = advice
    return EnvironmentReason(
        environment=environment,
        outcome=outcome,
        version=record.version if record else "",
        reasons=(*about, follows, *([f"served by {served}"] if served else []), *(_describe(one) for one in findings)),
        next=step,
    )


def _conclude(environment: str, record: Release | None, kind: ChangeKind | None, after: str) -> tuple[str, str]:
    """The outcome in one sentence, and the next step that follows from it."""
    match kind:
        case ChangeKind.ADDED:
            return f"version {after} is not there yet", f"write it: m2g render --env {environment}"
        case ChangeKind.CHANGED if record is not None:
            return f"version {record.version} is there, {after} is next", f"write it: m2g render --env {environment}"
        case ChangeKind.REMOVED if record is not None:
            return f"version {record.version} is there, and the next render removes it", ""
        case _:
            return (f"version {record.version} is there", "") if record else ("it is not there", "")


def _describe(finding: Finding) -> str:
    return f"{finding.message} [{finding.rule}]"


def _describe_follow(repository: Repository, model: _Model, environment: str) -> tuple[str, str]:
    """What decides about the version, and what to do if it finds none."""
    pin = repository.find_intent(model.slug).find_pin(environment)
    if pin.version is not UNSET:
        reason = "" if pin.reason is UNSET else f" ({pin.reason})"
        place = layout.model_yaml(model.slug)
        return f"{place} pins version {pin.version}{reason}", f"change the pin in {place}"
    return _describe_settings(repository.config.environments[environment], model, environment)


def _describe_settings(settings: Environment, model: _Model, environment: str) -> tuple[str, str]:
    follow = settings.follow
    version = model.newest or "VERSION"
    if follow.alias is not UNSET:
        aliases = model.registered.aliases if model.registered else {}
        call = f"MlflowClient().set_registered_model_alias({model.name!r}, {follow.alias!r}, {version!r})"
        if follow.alias in aliases:
            return f"{environment} follows the alias {follow.alias}, which is at version {aliases[follow.alias]}", ""
        near = find_near_alias(follow.alias, aliases)
        has = _list("alias", "aliases", sorted(aliases))
        hint = f"; aliases are case-sensitive, and {near} is another one" if near else ""
        return f"{environment} follows the alias {follow.alias}, which this model does not have ({has}{hint})", call
    if follow.stage is not UNSET:
        stages = sorted({one.stage for one in model.versions if one.stage and one.stage != "None"})
        call = f"MlflowClient().transition_model_version_stage({model.name!r}, {version!r}, {follow.stage!r})"
        return f"{environment} follows the stage {follow.stage} ({_list('stage', 'stages', stages)})", call
    if follow.tag is not UNSET:
        key, _, value = follow.tag.partition("=")
        call = f"MlflowClient().set_model_version_tag({model.name!r}, {version!r}, {key!r}, {value!r})"
        tagged = sorted((one.version for one in model.versions if key in one.tags), key=lambda one: (len(one), one))
        return (
            f"{environment} follows the tag {follow.tag} ({_list('version', 'versions', tagged)} with that key)",
            call,
        )
    place = layout.model_yaml(model.slug)
    return (
        f"{environment} follows nothing: people choose its versions",
        f"write to {place}: environments: {{{environment}: {{version: {version}, reason: first release}}}}",
    )


def _list(one: str, many: str, names: Sequence[str]) -> str:
    if not names:
        return f"it has no {many}"
    return f"it has the {one if len(names) == 1 else many} {', '.join(names[:10])}"
