"""Which registered models m2g.yaml selects for which environment, and their slugs."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping

from m2g.core import naming
from m2g.core.config_types import Config
from m2g.core.model import RegisteredModel, Release, Value
from m2g.repository.layout import Key


class HeldSlugs(Value, frozen=True, kw_only=True):
    """The slugs of records. `own` is by environment and registered name, `shared` by the name that environments share.

    The record of an environment decides for this environment. Those of others decide only where it has none.
    """

    own: Mapping[tuple[str, str], str]
    shared: Mapping[str, str]


def matches_name(config: Config, environment: str, name: str) -> bool:
    """Whether m2g.yaml selects a registered model with this name for the environment, tags aside."""
    return (
        environment in config.environments
        and _matches(name, config.models.include, config.models.exclude)
        and is_of_environment(config, environment, name)
    )


def is_of_environment(config: Config, environment: str, name: str) -> bool:
    """Whether `environments.<environment>.models` allows a registered model with this name."""
    chosen = config.environments[environment].models
    return _matches(name, chosen.include, chosen.exclude) and find_shared_name(config, environment, name) != ""


def is_selected(config: Config, environment: str, model: RegisteredModel) -> bool:
    """Whether m2g.yaml selects this registered model for the environment."""
    return matches_name(config, environment, model.name) and _has_tags(config, model)


def is_selected_anywhere(config: Config, model: RegisteredModel) -> bool:
    """Whether m2g.yaml selects this registered model for any environment."""
    return any(is_selected(config, environment, model) for environment in config.environments)


def find_shared_name(config: Config, environment: str, name: str) -> str:
    """What a registered name says beside the form `models.name` of the environment; empty if it has another form."""
    chosen = config.environments.get(environment)
    before, _, after = ("{model}" if chosen is None else chosen.models.name).partition("{model}")
    if not (name.startswith(before) and name.endswith(after)):
        return ""
    return name[len(before) : len(name) - len(after)]


def find_slug(config: Config, environment: str, name: str, held: HeldSlugs) -> str:
    """The slug of a registered model in an environment.

    It is that in m2g.yaml, else that of its records (`hold_slugs`), else the default one of its shared name.
    """
    shared = find_shared_name(config, environment, name) or name
    slugs = config.models.slugs
    return (
        slugs.get(name)
        or slugs.get(shared)
        or held.own.get((environment, name))
        or held.shared.get(shared)
        or naming.slugify(shared)
    )


def list_slugs(config: Config, name: str, held: HeldSlugs) -> tuple[str, ...]:
    """The slugs of a registered model in the environments that have it, or would have it by its name."""
    places = [place for place in config.environments if matches_name(config, place, name)]
    return tuple(sorted({find_slug(config, place, name, held) for place in places or config.environments}))


def hold_slugs(config: Config, records: Mapping[Key, Release]) -> HeldSlugs:
    """The slugs that records have: neither a better slug nor a new form of names renames a service."""
    own: dict[tuple[str, str], str] = {}
    shared: dict[str, str] = {}
    for (slug, environment), record in sorted(records.items(), reverse=True):
        name = find_shared_name(config, environment, record.model)
        if is_slug_of_record(config, slug, environment, record):
            own[environment, record.model] = slug
        if name and slug != naming.slugify(name) and naming.is_slug_of(slug, name):
            shared[name] = slug
    return HeldSlugs(own=own, shared=shared)


def is_slug_of_record(config: Config, slug: str, environment: str, record: Release) -> bool:
    """Whether m2g gives, or gave before m2g.yaml had a form of names, this slug to the record's model."""
    name = find_shared_name(config, environment, record.model)
    return naming.is_slug_of(slug, record.model) or (name != "" and naming.is_slug_of(slug, name))


def explain_selection(config: Config, environment: str, model: RegisteredModel) -> str:
    """Whether m2g.yaml selects the model for the environment, and what decides, in words."""
    models, chosen = config.models, config.environments[environment].models
    missing = [f"{key}={value}" for key, value in models.tags.items() if model.tags.get(key) != value]
    for place, one in (("models", models), (f"environments.{environment}.models", chosen)):
        if _find_match(model.name, one.include) is None:
            patterns = ", ".join(one.include) or "none"
            return f"not selected: no pattern of {place}.include in m2g.yaml matches ({patterns})"
        excluded = _find_match(model.name, one.exclude)
        if excluded is not None:
            return f"not selected: the pattern {excluded} of {place}.exclude in m2g.yaml matches"
    if missing:
        return f"not selected: models.tags in m2g.yaml requires {' and '.join(missing)} on the registered model"
    if not find_shared_name(config, environment, model.name):
        return f"not selected: its name has not the form {chosen.name} of environments.{environment}.models.name"
    if chosen.name != "{model}":
        return f"selected by the form {chosen.name} of environments.{environment}.models.name in m2g.yaml"
    own = chosen.include != ("*",)
    pattern = _find_match(model.name, chosen.include if own else models.include)
    place = f"environments.{environment}.models" if own else "models"
    return f"selected by the pattern {pattern} of {place}.include in m2g.yaml"


def _has_tags(config: Config, model: RegisteredModel) -> bool:
    return all(model.tags.get(key) == value for key, value in config.models.tags.items())


def _matches(name: str, include: Iterable[str], exclude: Iterable[str]) -> bool:
    return _find_match(name, include) is not None and _find_match(name, exclude) is None


def _find_match(name: str, patterns: Iterable[str]) -> str | None:
    return next((pattern for pattern in patterns if fnmatch.fnmatchcase(name, pattern)), None)
