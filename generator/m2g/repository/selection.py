"""Which registered models m2g.yaml selects for the fleet, and their slugs."""

from __future__ import annotations

import fnmatch

from m2g.core import naming
from m2g.core.config_types import Config
from m2g.core.model import RegisteredModel


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


def find_slug(config: Config, name: str) -> str:
    """The slug of a registered model: the one in m2g.yaml, else the default slug."""
    return config.models.slugs.get(name) or naming.slugify(name)
