"""Which registered models m2g.yaml takes into the fleet, and their slugs."""

from __future__ import annotations

import fnmatch

from m2g.core import naming
from m2g.core.config_types import Config
from m2g.core.model import RegisteredModel


def matches_name(config: Config, name: str) -> bool:
    """Whether m2g.yaml's include and exclude patterns take a registered model of this name."""
    rule = config.models
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in rule.include) and not any(
        fnmatch.fnmatchcase(name, pattern) for pattern in rule.exclude
    )


def is_selected(config: Config, model: RegisteredModel) -> bool:
    """Whether m2g.yaml's `models` takes this registered model into the fleet."""
    return matches_name(config, model.name) and all(
        model.tags.get(key) == value for key, value in config.models.tags.items()
    )


def find_slug(config: Config, name: str) -> str:
    """The slug of a registered model: m2g.yaml's own word for it, else the general law."""
    return config.models.slugs.get(name) or naming.slugify(name)
