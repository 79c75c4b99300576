"""The contents of a repository as a value, for every stage above."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from m2g.compat.runtime import Runtime
from m2g.core.config_types import Config, ModelIntent
from m2g.core.errors import InputError
from m2g.core.model import Image, Release, Value
from m2g.core.serving_environment import RecordedEnvironment
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
    outward: frozenset[str] = frozenset()
    """The slugs of models whose components refer to files outside of the model's folder."""
    runtimes: tuple[Runtime, ...] = ()
    """Described runtimes. The repository's own come first."""
    environments: dict[str, RecordedEnvironment] = {}
    """The serving environments by id."""
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


def find_records(repository: Repository, model: str, environments: Collection[str] = ()) -> dict[Key, Release]:
    """The release records of a model, by slug or registered name, in the order of the environments in m2g.yaml.

    An empty model means all models, no environments all of m2g.yaml. Raises InputError if there is no such record.
    """
    check_environments(repository.config, Scope(environments=frozenset(environments)))
    order = list(repository.config.environments)
    records = {
        key: record
        for key, record in repository.records.items()
        if model in ("", key[0], record.model) and key[1] in order
    }
    if not records:
        known = {text for (slug, _), record in repository.records.items() for text in (slug, record.model)}
        if model not in repository.slugs:
            refuse_unknown("model", filter(None, [model]), known)
        hint = "write the release records: m2g render (it names the models that wait, and for what)"
        raise InputError(f"{model or 'this repository'} has no release record", hint=hint)
    found = {key: record for key, record in records.items() if not environments or key[1] in environments}
    if not found:
        have = dict.fromkeys(environment for _, environment in records)
        raise InputError(
            f"{model or 'this repository'} has no release record in {', '.join(sorted(environments))}",
            hint=f"choose an environment that has one: --env {' or --env '.join(sorted(have))}",
        )
    return dict(sorted(found.items(), key=lambda item: order.index(item[0][1])))


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
    refuse_unknown("environment", scope.environments, list(config.environments))
