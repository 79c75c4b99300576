"""What m2g itself writes for a release: how it is served, and the objects before people's components change them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from m2g.core.config_types import Config
from m2g.core.errors import M2gError
from m2g.core.manifest import Manifest
from m2g.core.model import Release
from m2g.rendering.model_files import Deployment, render_flux_file, render_objects
from m2g.repository import config as configuration
from m2g.repository import environments, runtimes
from m2g.repository.layout import Key
from m2g.repository.state import Repository
from m2g.serving.canary import split_traffic
from m2g.serving.decide import choose_with_settings, resolve_serving
from m2g.serving.spec import ServingChoice


class Written(NamedTuple):
    """How one release is served, and its objects."""

    choice: ServingChoice
    objects: tuple[Manifest, ...]


def read_config(root: Path) -> Config | None:
    """The m2g.yaml at `root`; None if there is no valid one."""
    try:
        return configuration.load(root).config
    except (M2gError, FileNotFoundError):
        return None


def write_objects(root: Path, records: Mapping[Key, Release]) -> dict[Key, Written]:
    """What m2g writes for these releases with the settings at `root`; empty if its m2g.yaml is invalid."""
    config = read_config(root)
    try:
        intents, _ = configuration.read_intents(root)
    except (M2gError, FileNotFoundError):
        return {}
    if config is None:
        return {}
    known, _ = runtimes.read(root)
    repository = Repository(
        config=config,
        records=dict(records),
        intents=intents,
        components=frozenset(),
        runtimes=known,
        environments=environments.read(root)[0],
    )
    return {
        key: _write(repository, key[0], record)
        for key, record in records.items()
        if key[1] == record.environment and key[1] in config.environments
    }


def _write(repository: Repository, slug: str, record: Release) -> Written:
    """Findings are ignored: what cannot be rendered is not what the overlay builds, either."""
    config = repository.config
    serving, _ = resolve_serving(repository, slug, record)
    choice, _ = choose_with_settings(repository, record, serving)
    split, _ = split_traffic(repository, slug, record, serving, choice)
    deployment = Deployment(release=record, serving=serving, choice=choice, split=split)
    namespace = config.environments[record.environment].namespace
    objects = [
        {**item, "metadata": {**metadata, "namespace": namespace}}
        for item in render_objects(config, slug, deployment).values()
        if isinstance(metadata := item["metadata"], dict)
    ]
    return Written(choice=choice, objects=(*objects, *render_flux_file(config, slug, deployment).values()))
