"""What can be said of one model before anything is built; remembered by a digest of its folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from m2g import kustomize
from m2g.compat.runtime import Runtime
from m2g.core.cache import Cache, key
from m2g.core.config_types import Config
from m2g.core.finding import Finding
from m2g.core.model import Release, Value
from m2g.core.shard import Shard
from m2g.rendering import example_findings
from m2g.rendering.model import render_models
from m2g.repository import config as configuration
from m2g.repository import layout, load, model_folder, ownership
from m2g.repository import records as releases
from m2g.repository.known_folders import KnownFolders
from m2g.repository.locate import add_lines
from m2g.repository.model_folder import ModelFolder
from m2g.repository.records import find_misplaced
from m2g.repository.state import Repository
from m2g.repository.unused_files import find_unused
from m2g.resolution.targets import find_stale_pins


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """One model as it is on disk. `overlays` are the environments that it has an overlay for.

    `name` is the registered model's, the slug where no record tells; `owned` how many files lie where m2g writes.
    """

    slug: str
    name: str
    overlays: tuple[str, ...]
    records: tuple[str, ...]
    findings: tuple[Finding, ...]
    owned: int


class Look(Value, frozen=True, kw_only=True):
    """What every unit is looked at with, and the salt of it; `config` is None where m2g.yaml cannot be used."""

    root: Path
    salt: bytes
    config: Config | None
    runtimes: tuple[Runtime, ...]


_DECODER = msgspec.msgpack.Decoder(Unit)


class Units:
    """The models of a repository; what was found out of a folder is remembered."""

    def __init__(self, look: Look, remembered: KnownFolders, cache: Cache) -> None:
        self._look = look
        self._remembered = remembered
        self._cache = cache
        self._salt = key("unit", look.salt)

    def read(self, shard: Shard | None) -> Iterator[tuple[ModelFolder, Unit]]:
        """Every model, by slug, with its folder: who wants to keep a folder's content says so by holding it.

        Of models in other parts of the fleet only the name is told: overrides of policies may speak of them.
        """
        root = self._look.root
        fleet = model_folder.list_fleet_environments(root)
        for slug in model_folder.list_slugs(root):
            folder = model_folder.read(root, slug, fleet)
            mine = shard is None or shard.contains(slug)
            yield folder, self._of(folder, fleet) if mine else _elsewhere(root, folder)

    def _of(self, folder: ModelFolder, fleet: Sequence[str]) -> Unit:
        place = key(self._salt, folder.digest)
        if folder.digest and (found := self._cache.read(place, _DECODER)) is not None:
            return found
        unit = look(self._look, folder, self._remembered)
        # Lines of findings are looked up on disk: there the file may be another one by now.
        same = not unit.findings or model_folder.read(self._look.root, folder.slug, fleet).digest == folder.digest
        if folder.digest and same:
            self._cache.put(place, msgspec.msgpack.encode(unit))
        return unit


def _elsewhere(root: Path, folder: ModelFolder) -> Unit:
    records, _ = releases.read_records(root, folder)
    return Unit(
        slug=folder.slug,
        name=_name(folder, records),
        overlays=_overlays(folder),
        records=tuple(records),
        findings=(),
        owned=0,
    )


def _name(folder: ModelFolder, records: Mapping[str, Release]) -> str:
    return next((release.model for release in reversed(list(records.values()))), folder.slug)


def look(what: Look, folder: ModelFolder, remembered: KnownFolders) -> Unit:
    """Look at one model; every finding has its file and line.

    Where the folder is known to be what render gives, it is not rendered again, nor are its files' marks looked at.
    """
    root, slug = what.root, folder.slug
    rendered = remembered.is_up_to_date(folder)
    model = load.read_model(root, folder, remembered, up_to_date=rendered)
    records, findings = model.records, model.findings
    intents = {} if model.intent is None else {slug: model.intent}
    keyed = {(slug, environment): release for environment, release in records.items()}
    findings += find_stale_pins(intents, keyed)
    if what.config is not None:
        repository = Repository(
            config=what.config,
            records=keyed,
            intents=intents,
            components=model.components,
            runtimes=what.runtimes,
        )
        findings += _against(root, repository, rendered=rendered)
    overlays = _overlays(folder)
    findings += () if rendered else ownership.check_ownership(root, folder, {slug})
    findings += _unpaired(folder, set(records), set(overlays))
    return Unit(
        slug=slug,
        name=_name(folder, records),
        overlays=overlays,
        records=tuple(records),
        findings=tuple(findings),
        owned=len(folder.list_owned()),
    )


def _against(root: Path, repository: Repository, *, rendered: bool) -> Iterator[Finding]:
    """What m2g.yaml says to it: what render would refuse (settings, storage, names), and what nothing uses."""
    yield from configuration.find_unknown_environments(repository.config, repository.intents)
    yield from find_misplaced(repository.config, repository.records)
    wrong = () if rendered else render_models(repository, repository.records).findings
    yield from add_lines(root, (*wrong, *example_findings.check_examples(repository, repository.records)))
    yield from find_unused(repository, repository.records)


def _overlays(folder: ModelFolder) -> tuple[str, ...]:
    start = f"{layout.model(folder.slug)}/{layout.OVERLAYS}/"
    below = (path[len(start) :] for path in (*folder.files, *folder.special_files) if path.startswith(start))
    return tuple(sorted({rest.partition("/")[0] for rest in below if "/" in rest}))


def _unpaired(folder: ModelFolder, records: set[str], overlays: set[str]) -> Iterator[Finding]:
    for environment in sorted(records ^ overlays):
        record = layout.release(folder.slug, environment)
        overlay = layout.overlay(folder.slug, environment)
        if environment in overlays:
            if record in folder.files or record in folder.special_files:
                continue  # there is one that cannot be read, and that is said already
            message, file = f"has no release record ({record})", overlay
        else:
            message, file = f"has no overlay ({overlay})", record
        yield Finding(rule="record-unpaired", file=file, message=message, hint="run `m2g render --locked`")


def applied(root: Path, slug: str, environment: str) -> tuple[kustomize.RawFile, ...]:
    """The file of fleet/ that applies this overlay, where there is one."""
    file = layout.flux_file(slug, environment)
    whole = f"{root}/{file}"
    return (kustomize.read_file(root, file),) if os.path.isfile(whole) or os.path.islink(whole) else ()
