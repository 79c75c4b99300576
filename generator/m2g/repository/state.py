"""The contents of a repository as a value, for every stage above."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
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
    """The contents of a repository. `components` are the keys of the Kustomize components that users wrote."""

    config: Config
    records: dict[Key, Release]
    intents: dict[str, ModelIntent]
    components: frozenset[Key]
    runtimes: tuple[Runtime, ...] = ()
    """Described runtimes. The repository's own come first."""
    slugs: frozenset[str] = frozenset()
    """The slugs of models that have a folder."""
    up_to_date: frozenset[str] = frozenset()
    """The slugs of models whose folder is known to be exactly what render would write."""
    images: dict[tuple[str, str], Image] = {}
    """(registered model, version) to an image that was just built and is not in a record yet."""
    root: Path | None = None
    """The root folder. None for a state that is not on disk."""

    def find_intent(self, slug: str) -> ModelIntent:
        """The model.yaml of a model, or an empty one."""
        return self.intents.get(slug, ModelIntent())


class Scope(Value, frozen=True, kw_only=True):
    """What a run is limited to: registered models (names or slugs), environments, a shard. Empty means everything."""

    models: frozenset[str] = frozenset()
    environments: frozenset[str] = frozenset()
    shard: Shard | None = None

    def includes(self, key: Key, name: str) -> bool:
        """Whether the run includes this key, of the registered model `name`."""
        slug, environment = key
        return self.includes_model(slug, name) and (not self.environments or environment in self.environments)

    def includes_model(self, slug: str, name: str) -> bool:
        """Whether the run includes the registered model `name`, whose slug is `slug`."""
        if self.shard is not None and not self.shard.contains(slug):
            return False
        return not self.models or bool(self.models & {slug, name})


def refuse_unknown(kind: str, names: Iterable[str], known: Collection[str]) -> None:
    """Raises InputError for the first of `names` that is not known: a misspelled option must not look like success."""
    for name in sorted(names):
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            choices = f"use one of: {', '.join(sorted(known)[:20])}" if known else "write the models first: m2g render"
            hint = f"did you mean {near[0]}?" if near else choices
            raise InputError(f"this repository has no {kind} {name!r}", hint=hint)


def check_environments(config: Config, scope: Scope) -> None:
    """Raises InputError for an environment that is not in m2g.yaml."""
    for name in sorted(scope.environments - set(config.environments)):
        hint = f"known environments: {', '.join(config.environments)}"
        raise InputError(f"m2g.yaml has no environment {name!r}", hint=hint)
