"""What is committed, as values: the state that every stage above reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from m2g.compat.runtime import Runtime
from m2g.core.config_types import Config, ModelIntent
from m2g.core.errors import InputError
from m2g.core.model import Image, Release, Value
from m2g.core.shard import Shard
from m2g.repository.layout import Key

if TYPE_CHECKING:
    from pathlib import Path


class Repository(Value, frozen=True, kw_only=True):
    """What people and earlier runs have committed; `components` are the Kustomize components that people wrote."""

    config: Config
    records: dict[Key, Release]
    intents: dict[str, ModelIntent]
    components: frozenset[Key]
    runtimes: tuple[Runtime, ...] = ()
    """Described runtimes, the repository's own first."""
    slugs: frozenset[str] = frozenset()
    """Those that have a folder."""
    up_to_date: frozenset[str] = frozenset()
    """Those whose folder is known to be exactly what render gives."""
    images: dict[tuple[str, str], Image] = {}
    """(registered model, version) to an image that was built just now, and is in no record yet."""
    root: Path | None = None
    """Where it lies; None for a state that is only looked at."""

    def find_intent(self, slug: str) -> ModelIntent:
        """model.yaml of a model, or an empty one."""
        return self.intents.get(slug, ModelIntent())


class Scope(Value, frozen=True, kw_only=True):
    """What a run is about: registered-model names or slugs, environments, a part of the fleet; empty is all."""

    models: frozenset[str] = frozenset()
    environments: frozenset[str] = frozenset()
    shard: Shard | None = None

    def includes(self, key: Key, name: str) -> bool:
        """Whether the run is about this slug and environment of the registered model `name`."""
        slug, environment = key
        return self.includes_model(slug, name) and (not self.environments or environment in self.environments)

    def includes_model(self, slug: str, name: str) -> bool:
        """Whether the run is about the registered model `name`, whose slug is `slug`."""
        if self.shard is not None and not self.shard.contains(slug):
            return False
        return not self.models or bool(self.models & {slug, name})


def check_environments(config: Config, scope: Scope) -> None:
    """Raises InputError for an environment that m2g.yaml does not have."""
    for name in sorted(scope.environments - set(config.environments)):
        raise InputError(f"m2g.yaml has no environment {name!r}", hint=f"it has {', '.join(config.environments)}")
