"""Which registered models m2g.yaml selects for the fleet, and their slugs."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping

from m2g.core import naming
from m2g.core.config_types import Config
from m2g.core.model import RegisteredModel, Release
from m2g.repository.layout import Key


def matches_name(config: Config, name: str) -> bool:
    """Whether the include and exclude patterns in m2g.yaml select a registered model with this name."""
    models = config.models
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in models.include) and not any(
        fnmatch.fnmatchcase(name, pattern) for pattern in models.exclude
    )


def is_selected(config: Config, model: RegisteredModel) -> bool:
    """Whether `models` in m2g.yaml selects this registered model for the fleet."""
    return matches_name(config, model.name) and all(
        model.tags.get(key) == value for key, value in config.models.tags.items()
    )


def find_slug(config: Config, name: str, held: Mapping[str, str]) -> str:
    """The slug of a registered model: that in m2g.yaml, else that of its records (`hold_slugs`), else the default."""
    return config.models.slugs.get(name) or held.get(name) or naming.slugify(name)


def hold_slugs(records: Mapping[Key, Release]) -> dict[str, str]:
    """Registered name → the slug of its records, if another m2g chose it: a better slug never renames a service."""
    return {
        record.model: slug
        for (slug, _), record in sorted(records.items(), reverse=True)
        if slug != naming.slugify(record.model) and naming.is_slug_of(slug, record.model)
    }


def explain_selection(config: Config, model: RegisteredModel) -> str:
    """Whether m2g.yaml selects the model, and the pattern or tag that decides, in words."""
    models = config.models
    included = next((pattern for pattern in models.include if fnmatch.fnmatchcase(model.name, pattern)), None)
    excluded = next((pattern for pattern in models.exclude if fnmatch.fnmatchcase(model.name, pattern)), None)
    missing = [f"{key}={value}" for key, value in models.tags.items() if model.tags.get(key) != value]
    if included is None:
        return f"not selected: no pattern of models.include in m2g.yaml matches ({', '.join(models.include) or 'none'})"
    if excluded is not None:
        return f"not selected: the pattern {excluded} of models.exclude in m2g.yaml matches"
    if missing:
        return f"not selected: models.tags in m2g.yaml requires {' and '.join(missing)} on the registered model"
    return f"selected by the pattern {included} of models.include in m2g.yaml"
