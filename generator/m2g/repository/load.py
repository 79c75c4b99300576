"""What people and earlier runs have committed, read model by model."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import msgspec

from m2g.core.cache import Cache
from m2g.core.config_types import Config, ModelIntent
from m2g.core.errors import InputError
from m2g.core.finding import Finding
from m2g.core.interning import Interner
from m2g.core.model import Release
from m2g.repository import config as configuration
from m2g.repository import layout, model_folder, ownership, runtimes
from m2g.repository import records as releases
from m2g.repository.known_folders import KnownFolders
from m2g.repository.layout import Key
from m2g.repository.model_folder import ModelFolder
from m2g.repository.records import find_misplaced
from m2g.repository.state import Repository

_TOGETHER = 20
"""Folders that are in memory together."""


class LoadedRepository(msgspec.Struct, frozen=True, kw_only=True):
    """`repository` as it is on disk, and what is wrong with it; `digests` are of the models' folders, by slug."""

    repository: Repository
    digests: Mapping[str, bytes]
    findings: tuple[Finding, ...]


class LoadedModel(msgspec.Struct, frozen=True, kw_only=True):
    """One model's release records by environment, its model.yaml and components, and what is wrong with them."""

    records: dict[str, Release]
    intent: ModelIntent | None
    components: frozenset[Key]
    findings: list[Finding]


def read_model(root: Path, folder: ModelFolder, known: KnownFolders, *, up_to_date: bool) -> LoadedModel:
    """Read one model. `up_to_date`: its folder is known to be exactly what render gives."""
    records, findings = releases.read_records(root, folder, sure=up_to_date)
    intent, wrong = known.read_intent(root, folder)
    paths = (*folder.files, *folder.special_files)
    components = frozenset(found for path in paths if (found := layout.parse_component_path(path)) is not None)
    return LoadedModel(records=records, intent=intent, components=components, findings=[*findings, *wrong])


def _read(root: Path, config: Config, remembered: KnownFolders) -> LoadedRepository:
    """Every model's records, model.yaml and components, and what is wrong with them."""
    records: dict[Key, Release] = {}
    intents: dict[str, ModelIntent] = {}
    components: set[Key] = set()
    slugs: set[str] = set()
    settled: set[str] = set()
    digests: dict[str, bytes] = {}
    findings = ownership.find_symlinked_folders(root)
    alike = Interner()
    for folder, known in _all(root, remembered):
        digests[folder.slug] = folder.digest
        model = read_model(root, folder, remembered, up_to_date=known)
        findings += model.findings
        records |= {(folder.slug, environment): alike.intern(release) for environment, release in model.records.items()}
        if model.intent is not None:
            intents[folder.slug] = model.intent
        components |= model.components
        slugs.add(folder.slug)
        if known:
            settled.add(folder.slug)
    findings += configuration.find_unknown_environments(config, intents)
    findings += find_misplaced(config, records)
    described, wrong = runtimes.read(root)
    repository = Repository(
        config=config,
        records=records,
        intents=intents,
        components=frozenset(components),
        runtimes=described,
        root=root,
        slugs=frozenset(slugs),
        up_to_date=frozenset(settled),
    )
    return LoadedRepository(repository=repository, digests=digests, findings=(*findings, *wrong))


def read_folders(root: Path, slugs: Collection[str]) -> Iterator[ModelFolder]:
    """The folders of these models, and last what lies in fleet/ for no model at all (its slug is empty)."""
    fleet = model_folder.list_fleet_environments(root)
    yield from (model_folder.read(root, slug, fleet) for slug in sorted(slugs))
    yield model_folder.read_orphans(root, fleet, frozenset(model_folder.list_slugs(root)))


def _all(root: Path, remembered: KnownFolders) -> Iterator[tuple[ModelFolder, bool]]:
    """Each model's folder, and whether it is known to be what render gives."""
    fleet = model_folder.list_fleet_environments(root)
    slugs = model_folder.list_slugs(root)
    for start in range(0, len(slugs), _TOGETHER):
        some = [model_folder.read(root, slug, fleet) for slug in slugs[start : start + _TOGETHER]]
        known = remembered.find_up_to_date(some)
        yield from ((folder, folder.digest in known) for folder in some)


class InvalidRepository(InputError):
    """Findings in what people wrote stop the run before anything is done."""

    def __init__(self, findings: Collection[Finding]) -> None:
        self.findings = tuple(findings)
        first = min(self.findings, default=None)
        where = f"{first.file}:{first.line}" if first and first.line else first.file if first else ""
        what = f"{first.path} {first.message}".strip() if first else ""
        said = f": {where}: {what}" if first else ""
        others = f", and {len(self.findings) - 1} more" if len(self.findings) > 1 else ""
        hint = first.hint if first and first.hint else "`m2g validate` says what is wrong"
        super().__init__(f"the repository's own files must be mended first{said}{others}", hint=hint)


def read_repository(root: Path) -> Repository:
    """What is committed. Raises WrongInput where people must mend it first."""
    with Cache(None) as nothing:
        return load(root, KnownFolders(nothing, b"")).repository


def load(root: Path, remembered: KnownFolders) -> LoadedRepository:
    """As `repository`, with the digests of the models' folders. Raises WrongInput."""
    try:
        loaded = remembered.read_config(root)
    except InputError as error:
        raise InvalidRepository([configuration.describe_unreadable(error)]) from error
    if loaded.config is None or loaded.findings:
        raise InvalidRepository(loaded.findings)
    held = _read(root, loaded.config, remembered)
    if held.findings:
        raise InvalidRepository(held.findings)
    return held
