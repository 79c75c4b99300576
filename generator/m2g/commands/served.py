"""How the releases that a run touches are served, and why: what render tells beside the files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from m2g.compat import catalogue
from m2g.core.errors import M2gError
from m2g.core.model import Release
from m2g.core.results import Served
from m2g.rendering.model import Key, Repository, choose
from m2g.repository import config as configuration
from m2g.serving.spec import Chosen

_PATCH = re.compile(r"models/([^/]+)/overlays/([^/]+)/(?:release/)?patch\.yaml")
_PROFILE = re.compile(rb'path: "/metadata/annotations/m2g\.dev~1profile"\n  value: ([a-z-]+)\n')


def served(
    repository: Repository,
    records: Mapping[Key, Release],
    moved: Mapping[Key, Chosen],
    before: Mapping[str, bytes],
    after: Mapping[str, bytes],
) -> tuple[Served, ...]:
    """One value for each release of `moved` (with how it is served), and for each that has another profile than before.

    `before` and `after` are the files that the run writes, as they were and as they will be.
    """
    told: list[Served] = []
    for path in sorted(after):
        found = _PATCH.fullmatch(path)
        if found is None or (found[1], found[2]) not in records:
            continue
        key = (found[1], found[2])
        old, new = (_profile(tree.get(path, b"")) for tree in (before, after))
        if key not in moved and old in ("", new):
            continue
        chosen = moved.get(key) or choose(repository, key[0], records[key])
        told.append(
            Served(
                slug=key[0],
                model=records[key].model,
                environment=key[1],
                profile=chosen.profile,
                protocol=chosen.protocol,
                reason=chosen.reason,
                before="" if old == new else old,
            )
        )
    return tuple(told)


def choices(root: Path, records: Mapping[Key, Release]) -> dict[Key, Chosen]:
    """How these releases are served by the files at `root`; nothing where its m2g.yaml cannot be used."""
    try:
        config = configuration.load(root).config
        intents, _ = configuration.intents(root)
    except (M2gError, FileNotFoundError):
        return {}
    if config is None:
        return {}
    known, _ = catalogue.read(root)
    repository = Repository(
        config=config, records=dict(records), intents=intents, components=frozenset(), runtimes=known
    )
    return {key: choose(repository, key[0], record) for key, record in records.items() if key[1] in config.environments}


def _profile(patch: bytes) -> str:
    found = _PROFILE.search(patch)
    return found[1].decode() if found else ""
