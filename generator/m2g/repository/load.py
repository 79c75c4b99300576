"""Load a GitOps repository, model by model."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import msgspec

from m2g.core.cache import Cache
from m2g.core.config_types import Config, ModelIntent
from m2g.core.errors import InputError
from m2g.core.finding import Finding
from m2g.core.interning import Interner
from m2g.core.model import Release
from m2g.kustomize.graph import FILE_NAMES
from m2g.kustomize.references import read_paths
from m2g.repository import config as configuration
from m2g.repository import environments, layout, model_folder, ownership, runtimes
from m2g.repository.known_folders import KnownFolders
from m2g.repository.layout import Key
from m2g.repository.model_folder import ModelFolder
from m2g.repository.records import find_misplaced, read_records
from m2g.repository.state import Repository

_TOGETHER = 20
"""Folders to keep in memory at the same time."""


class LoadedRepository(msgspec.Struct, frozen=True, kw_only=True):
    """The repository on disk and its findings. `digests` are the digests of the models' folders, by slug."""

    repository: Repository
    digests: Mapping[str, bytes]
    findings: tuple[Finding, ...]


class LoadedModel(msgspec.Struct, frozen=True, kw_only=True):
    """One model's release records by environment, its model.yaml and components, and their findings.

    `outward` tells that a component refers to a file outside of the model's folder.
    """

    records: dict[str, Release]
    intent: ModelIntent | None
    components: frozenset[Key]
    outward: bool
    findings: list[Finding]


def read_model(root: Path, folder: ModelFolder, known: KnownFolders, *, up_to_date: bool) -> LoadedModel:
    """Read one model. `up_to_date` means that its folder is known to be exactly what render would write."""
    records, findings = read_records(root, folder, trusted=up_to_date)
    intent, new_findings = known.read_intent(root, folder)
    paths = (*folder.files, *folder.special_files)
    components = frozenset(key for path in paths if (key := layout.parse_component_path(path)) is not None)
    return LoadedModel(
        records=records,
        intent=intent,
        components=components,
        outward=bool(components) and _refers_outward(folder),
        findings=[*findings, *new_findings],
    )


def _refers_outward(folder: ModelFolder) -> bool:
    here, custom = layout.model(folder.slug), f"{layout.custom(folder.slug)}/"
    if any(path.startswith(custom) for path in folder.special_files):
        return True
    for path, content in folder.files.items():
        if path.startswith(custom) and posixpath.basename(path) in FILE_NAMES:
            base = posixpath.dirname(path)
            for reference in read_paths(content, path):
                if not posixpath.normpath(posixpath.join(base, reference)).startswith(f"{here}/"):
                    return True
    return False


def _read(root: Path, config: Config, known: KnownFolders) -> LoadedRepository:
    """Read the records, model.yaml and components of every model."""
    records: dict[Key, Release] = {}
    intents: dict[str, ModelIntent] = {}
    components: set[Key] = set()
    outward: set[str] = set()
    slugs: set[str] = set()
    up_to_date: set[str] = set()
    digests: dict[str, bytes] = {}
    findings = ownership.find_symlinked_folders(root)
    interner = Interner()
    for folder, is_known in _read_all(root, known):
        digests[folder.slug] = folder.digest
        model = read_model(root, folder, known, up_to_date=is_known)
        findings += model.findings
        for environment, release in model.records.items():
            records[folder.slug, environment] = interner.intern(release)
        if model.intent is not None:
            intents[folder.slug] = model.intent
        components |= model.components
        if model.outward:
            outward.add(folder.slug)
        slugs.add(folder.slug)
        if is_known:
            up_to_date.add(folder.slug)
    findings += configuration.find_unknown_environments(config, intents)
    findings += find_misplaced(config, records)
    described, new_findings = runtimes.read(root)
    recorded, invalid = environments.read(root)
    repository = Repository(
        config=config,
        records=records,
        intents=intents,
        components=frozenset(components),
        outward=frozenset(outward),
        runtimes=described,
        environments=recorded,
        root=root,
        slugs=frozenset(slugs),
        up_to_date=frozenset(up_to_date),
    )
    return LoadedRepository(repository=repository, digests=digests, findings=(*findings, *new_findings, *invalid))


def read_folders(root: Path, slugs: Collection[str]) -> Iterator[ModelFolder]:
    """The folders of these models, and at the end the files in fleet/ that belong to no model (with an empty slug)."""
    fleet = model_folder.list_fleet_environments(root)
    yield from (model_folder.read(root, slug, fleet) for slug in sorted(slugs))
    yield model_folder.read_orphans(root, fleet, frozenset(model_folder.list_slugs(root)))


def _read_all(root: Path, known: KnownFolders) -> Iterator[tuple[ModelFolder, bool]]:
    """Each model's folder, and whether it is known to be up to date."""
    fleet = model_folder.list_fleet_environments(root)
    slugs = model_folder.list_slugs(root)
    for start in range(0, len(slugs), _TOGETHER):
        folders = [model_folder.read(root, slug, fleet) for slug in slugs[start : start + _TOGETHER]]
        digests = known.find_up_to_date(folders)
        yield from ((folder, folder.digest in digests) for folder in folders)


_SHOWN = 500
"""Characters of the first finding in the error's own message; a key may have a megabyte."""


class InvalidRepository(InputError):
    """The repository has invalid files, so the run stops before it does anything."""

    def __init__(self, findings: Collection[Finding]) -> None:
        self.findings = tuple(findings)
        first = min(self.findings, default=None)
        where = f"{first.file}:{first.line}" if first and first.line else first.file if first else ""
        what = f"{first.path} {first.message}".strip()[:_SHOWN] if first else ""
        shown = f": {where}: {what}" if first else ""
        others = f", and {len(self.findings) - 1} more" if len(self.findings) > 1 else ""
        hint = first.hint if first and first.hint else "run `m2g validate` to see all findings"
        super().__init__(f"the repository has invalid files{shown}{others}", hint=hint)


def read_repository(root: Path) -> Repository:
    """Load a repository without a cache. Raises InvalidRepository."""
    with Cache(None) as cache:
        return load(root, KnownFolders(cache, b"")).repository


def load(root: Path, known: KnownFolders) -> LoadedRepository:
    """Load a repository, with the digests of the models' folders. Raises InvalidRepository."""
    try:
        loaded = known.read_config(root)
    except InputError as error:
        raise InvalidRepository([configuration.describe_unreadable(error)]) from error
    if loaded.config is None or loaded.findings:
        raise InvalidRepository(loaded.findings)
    repository = _read(root, loaded.config, known)
    if repository.findings:
        raise InvalidRepository(repository.findings)
    return repository
