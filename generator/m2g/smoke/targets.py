"""The versions to test: those of the committed records, one of the registry, or a directory."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from m2g.compat import catalogue, runtime
from m2g.compat.runtime import Runtime
from m2g.core import tempdirs
from m2g.core.cache import Cache
from m2g.core.config_types import Kserve
from m2g.core.errors import InputError
from m2g.core.model import Mlmodel, Release, Value
from m2g.core.naming import slugify as slug_of
from m2g.core.serving_environment import list_pins
from m2g.core.variants import list_versions
from m2g.mlmodel import read as read_mlmodel
from m2g.registry import download
from m2g.registry.model_files import ENVIRONMENT
from m2g.repository import config as configuration
from m2g.repository import load
from m2g.repository.layout import Key
from m2g.repository.state import Repository, Scope, check_environments, find_records
from m2g.repository.trusted_registry import ChosenRegistry, choose_registry
from m2g.resolution.resolve import open_configured_registry, resolve
from m2g.resolution.snapshot import add_environments, list_entries, read_snapshot
from m2g.serving.decide import choose_serving, resolve_serving
from m2g.serving.spec import RUNTIMES, ServingChoice

_FILES = ("MLmodel", "requirements.txt", "python_env.yaml", "conda.yaml", "serving_input_example.json")
_MAX_BYTES = 1 << 20


class TargetOptions(Value, frozen=True, kw_only=True):
    """Which versions to test. `snapshot` is the file of `m2g sync --resolve-only`: all versions that it proposes.

    `deployed`: an endpoint is asked, where the candidate of a canary is asked for by its version.
    """

    model: str = ""
    environments: tuple[str, ...] = ()
    version: str = ""
    folder: Path | None = None
    profile: str = ""
    snapshot: Path | None = None
    deployed: bool = False


class SharedPackages(Value, frozen=True, kw_only=True):
    """The locked packages of the serving environment that a version shares."""

    id: str
    python: str
    lines: tuple[str, ...]
    indexes: tuple[str, ...]


class Target(Value, frozen=True, kw_only=True):
    """One version to serve. Without `folder`, m2g downloads it from `registry`.

    `runtime` describes the runtime `runtime_name` of the profile mlserver; None if there is no description.
    """

    model: str
    slug: str
    version: str
    profile: str
    mlmodel: Mlmodel
    environments: tuple[str, ...] = ()
    variables: Mapping[str, str] = {}
    runtime: Runtime | None = None
    runtime_name: str = RUNTIMES["mlserver"]
    limits: Mapping[str, str] = {}
    shared: SharedPackages | None = None
    folder: Path | None = None
    registry: ChosenRegistry = ChosenRegistry(uri="")
    root: Path

    @property
    def named(self) -> str:
        return f"{self.model} version {self.version}" if self.version else self.model


def find_targets(options: TargetOptions, root: Path) -> list[Target]:
    """The versions to test. A model directory without an environment needs no repository.

    Raises InputError if nothing matches, or if several versions match one directory.
    """
    if not options.model and options.folder is None and options.snapshot is None:
        hint = "run: m2g smoke MODEL --env NAME (or m2g smoke --model-dir DIR for a model on this disk)"
        raise InputError("a model is required", hint=hint)
    if options.folder is not None and not options.environments:
        return [_target_of_folder(options, options.folder, root)]
    targets = _targets_of_records(configuration.find_root(root), options)
    if (options.folder is not None or options.version) and len(targets) > 1:
        environments = sorted({environment for target in targets for environment in target.environments})
        hint = f"choose one environment: --env {' or --env '.join(environments)}"
        raise InputError(f"{options.model} is served in several ways", hint=hint)
    return targets


def _target_of_folder(options: TargetOptions, folder: Path, root: Path) -> Target:
    name = options.model or folder.resolve().name
    return Target(
        model=name,
        slug=slug_of(name),
        version=options.version,
        profile=options.profile or "mlserver-image",
        mlmodel=_read_mlmodel(folder),
        runtime=runtime.find_runtime(catalogue.read_stock(), RUNTIMES["mlserver"], Kserve().version),
        folder=folder,
        root=root,
    )


def _targets_of_records(root: Path, options: TargetOptions) -> list[Target]:
    """One target for each version and way of serving in the records. Raises InputError if there is none.

    A model may have no record yet, because it waits for an image: then the registry says what it would be.
    """
    repository = load.read_repository(root)
    if options.snapshot is not None:
        snapshot = read_snapshot(options.snapshot)
        records = {
            (one.slug, one.environment): one.record
            for one in list_entries(snapshot, repository)
            if one.record is not None
        }
        if not records:
            return []
        known = add_environments(snapshot, repository)
        repository = msgspec.structs.replace(repository, records=records, environments=known)
    targets: dict[tuple[str, ...], Target] = {}
    found = sorted(_find_releases(root, repository, options).items())
    releases = [(key, one) for key, release in found for one in _select_versions(release, options)]
    for (slug, environment), release in releases:
        target = _target_of_release(root, repository, slug, release, options)
        key = (slug, target.version, target.profile, str(sorted(target.variables.items())))
        before = targets.get(key)
        environments = (*(before.environments if before else ()), environment)
        targets[key] = msgspec.structs.replace(target, environments=environments)
    return list(targets.values())


def _select_versions(release: Release, options: TargetOptions) -> tuple[Release, ...]:
    """The version of a record and its candidate, or the one of them that is asked for."""
    known = list_versions(release)
    alone = options.version or options.deployed or options.folder is not None
    return next(((one,) for one in known if one.version == options.version), known[:1] if alone else known)


def _find_releases(root: Path, repository: Repository, options: TargetOptions) -> Mapping[Key, Release]:
    scope = Scope(models=frozenset({options.model}), environments=frozenset(options.environments))
    check_environments(repository.config, scope)
    try:
        return find_records(repository, options.model, options.environments)
    except InputError:
        if not options.model or options.folder is not None:
            raise
        waiting = _ask_registry(root, repository, scope)
        if not waiting:
            raise
        return waiting


def _ask_registry(root: Path, repository: Repository, scope: Scope) -> Mapping[Key, Release]:
    """The releases that `m2g render` would record if nothing was missing."""
    with contextlib.chdir(root):
        registry = open_configured_registry(repository.config, root, lambda what, done, total: None)
        found = resolve(repository, registry, scope, Cache(None)).records
    return {key: one for key, one in found.items() if scope.includes(key, one.model)}


def _target_of_release(
    root: Path, repository: Repository, slug: str, release: Release, options: TargetOptions
) -> Target:
    mlmodel = release.mlmodel
    version = options.version or release.version
    if options.folder is not None:
        on_disk = _read_mlmodel(options.folder)
        if version == release.version and (mlmodel is None or mlmodel.sha256 != on_disk.sha256):
            raise InputError(
                f"{options.folder} is not version {version} of {release.model}: its MLmodel file differs",
                hint="name the directory of that version (--model-dir DIR), or remove --model-dir to download it",
            )
        mlmodel = on_disk
    chosen = ChosenRegistry(uri="") if options.folder is not None else choose_registry(root, repository.config)
    if options.folder is None and version != release.version:
        mlmodel = _download_mlmodel(root, release.model, version, chosen)
    if mlmodel is None:
        hint = "log the model with MLflow and register that version"
        raise InputError(f"{release.model} version {version} has no MLmodel file", hint=hint)
    if version != release.version:  # nothing is decided yet for another version
        release = msgspec.structs.replace(release, schema=2, version=version, serving=None)
    release = msgspec.structs.replace(release, mlmodel=mlmodel)
    serving, _ = resolve_serving(repository, slug, release)
    name = serving.runtime or RUNTIMES["mlserver"]
    choice = choose_serving(repository, slug, release)
    profile = options.profile or choice.profile
    return Target(
        model=release.model,
        slug=slug,
        version=version,
        profile=profile,
        mlmodel=mlmodel,
        variables=serving.env,
        runtime=runtime.find_runtime(repository.runtimes, name, serving.kserve.version),
        runtime_name=name,
        limits=serving.limits,
        shared=_find_shared(repository, choice) if profile == choice.profile else None,
        folder=options.folder,
        registry=chosen,
        root=root,
    )


def _find_shared(repository: Repository, choice: ServingChoice) -> SharedPackages | None:
    one = repository.environments.get(choice.environment)
    if one is None:
        return None
    environment = one.environment
    return SharedPackages(id=one.id, python=environment.python, lines=list_pins(one.text), indexes=environment.indexes)


def _download_mlmodel(root: Path, name: str, version: str, chosen: ChosenRegistry) -> Mlmodel:
    """The facts of a version that is in no release record."""
    wanted = download.ModelDownload(name=name, number=version, distrust=chosen.distrust, workspace=chosen.workspace)
    with tempdirs.open_folder() as place:
        return _read_mlmodel(download.download_version(wanted, chosen.uri, place, root=root))


def _read_mlmodel(folder: Path) -> Mlmodel:
    contents = {}
    for name in _FILES:
        path = folder / name
        if path.is_file() and path.stat().st_size <= _MAX_BYTES:
            contents[name] = path.read_bytes()
    if (folder / ENVIRONMENT).is_file():
        contents[ENVIRONMENT] = b""
    if "MLmodel" not in contents:
        hint = "name the directory that MLflow wrote: --model-dir DIR"
        raise InputError(f"{folder} is not an MLflow model: it has no MLmodel file", hint=hint)
    return read_mlmodel(contents)
