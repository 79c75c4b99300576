"""Which team a model belongs to, by the name of its folder: nobody can change it in a model.yaml or by a tag."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping

from m2g.core.config_types import Bound, Config


def list_teams(config: Config, slug: str) -> list[str]:
    """The teams whose patterns match a slug, in the order of m2g.yaml. More than one is a mistake."""
    return [
        name
        for name, team in config.teams.items()
        if any(fnmatch.fnmatchcase(slug, pattern) for pattern in team.models)
    ]


def find_bounds(config: Config, slug: str) -> Mapping[str, Bound]:
    """What the model.yaml of a model and its tags may set. A model of two teams has the bounds of none of them."""
    match list_teams(config, slug):
        case [name]:
            return {**config.bounds, **config.teams[name].bounds}
        case _:
            return config.bounds
