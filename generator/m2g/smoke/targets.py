"""Which versions a smoke test is about: those of the committed records, one of the registry, or a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from m2g import mlmodel
from m2g.compat import catalogue, runtime
from m2g.compat.runtime import Runtime
from m2g.core import tempdirs
from m2g.core.config_types import Kserve
from m2g.core.errors import InputError
from m2g.core.model import Mlmodel, Release, Value
from m2g.core.naming import slugify as slug_of
from m2g.git import read
from m2g.registry import download
from m2g.repository import config as configuration
from m2g.repository import load, state
from m2g.repository.layout import model_yaml
from m2g.repository.state import Repository, Scope
from m2g.serving.decide import choose, serving_of
from m2g.serving.spec import RUNTIMES

_FILES = ("MLmodel", "requirements.txt", "python_env.yaml", "conda.yaml", "serving_input_example.json")
_BYTES = 1 << 20


class Wish(Value, frozen=True, kw_only=True):
    """What a person asks for; all of it may be empty. With
    `base`, a Git ref, only what HEAD changes against it."""

    model: str = ""
    environments: tuple[str, ...] = ()
    version: str = ""
    folder: Path | None = None
    profile: str = ""
    base: str = ""


class Trial(Value, frozen=True, kw_only=True):
    """One version to serve. `folder` is None where it is to be downloaded from `registry`.

    `runtime` describes the cluster's own of the profile mlserver, which `runtime_name` names; None where nobody did.
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
    folder: Path | None = None
    registry: str = ""
    root: Path

    @property
    def named(self) -> str:
        return f"{self.model} version {self.version}" if self.version else self.model


def wished(wish: Wish, here: Path) -> list[Trial]:
    """What is to be tested. A folder needs no repository: without one, or without a record, it stands for itself.

    Raises InputError where nothing fits, or several versions fit one folder.
    """
    if not wish.model and wish.folder is None and not wish.base:
        raise InputError("which model?", hint="m2g smoke MODEL --env E; or --model-dir DIR for a model on this disk")
    if wish.folder is not None and not wish.environments:
        return [_alone(wish, wish.folder, here)]
    found = _of_records(configuration.find_root(here), wish)
    if (wish.folder is not None or wish.version) and len(found) > 1:
        raise InputError(f"{wish.model} is served in several ways", hint="name one environment: --env E")
    return found


def _alone(wish: Wish, folder: Path, root: Path) -> Trial:
    name = wish.model or folder.resolve().name
    facts = _facts(folder)
    profile = wish.profile or "mlserver-image"
    return Trial(
        model=name,
        slug=slug_of(name),
        version=wish.version,
        profile=profile,
        mlmodel=facts,
        runtime=runtime.find_runtime(catalogue.read_stock(), RUNTIMES["mlserver"], Kserve().version),
        folder=folder,
        root=root,
    )


def _of_records(root: Path, wish: Wish) -> list[Trial]:
    """One for each version and way of serving that the records name. Raises InputError where that is none."""
    repository = load.read_repository(root)
    state.check_environments(repository.config, Scope(environments=frozenset(wish.environments)))
    changed = read.list_changed(root, read.find_merge_base(root, wish.base)) if wish.base else None
    found: dict[tuple[str, ...], Trial] = {}
    for (slug, environment), release in sorted(repository.records.items()):
        if wish.model not in ("", slug, release.model) or environment not in (wish.environments or (environment,)):
            continue
        if changed is not None and not changed & {
            f"models/{slug}/releases/{environment}.json",
            model_yaml(slug),
        }:
            continue
        trial = _trial(root, repository, slug, release, wish)
        key = (slug, trial.version, trial.profile, str(sorted(trial.variables.items())))
        before = found.get(key)
        places = (*(before.environments if before else ()), environment)
        found[key] = msgspec.structs.replace(trial, environments=places)
    if not found and changed is None:
        where = f" in {', '.join(wish.environments)}" if wish.environments else ""
        hint = "`m2g render` makes records; --model-dir DIR tests a model on this disk without one"
        raise InputError(f"{wish.model or 'the repository'} has no release record{where}", hint=hint)
    return list(found.values())


def _trial(root: Path, repository: Repository, slug: str, release: Release, wish: Wish) -> Trial:
    facts = release.mlmodel
    version = wish.version or release.version
    if wish.folder is not None:
        mine = _facts(wish.folder)
        if version == release.version and (facts is None or facts.sha256 != mine.sha256):
            raise InputError(
                f"{wish.folder} is not version {version} of {release.model}: its MLmodel differs from the record's",
                hint="name the folder of this very version, or leave --model-dir out: then it is downloaded",
            )
        facts = mine
    uri = "" if wish.folder is not None else configuration.find_registry_uri(repository.config)
    if wish.folder is None and version != release.version:
        facts = _of_registry(root, release.model, version, uri)
    if facts is None:
        raise InputError(f"{release.model} version {version} has no MLmodel file", hint="log it with MLflow")
    release = msgspec.structs.replace(release, version=version, mlmodel=facts)
    serving, _ = serving_of(repository, slug, release)
    name = serving.runtime or RUNTIMES["mlserver"]
    return Trial(
        model=release.model,
        slug=slug,
        version=version,
        profile=wish.profile or choose(repository, slug, release).profile,
        mlmodel=facts,
        variables=serving.env,
        runtime=runtime.find_runtime(repository.runtimes, name, serving.kserve.version),
        runtime_name=name,
        limits=serving.limits,
        folder=wish.folder,
        registry=uri,
        root=root,
    )


def _of_registry(root: Path, name: str, version: str, uri: str) -> Mlmodel:
    """The facts of a version that no record has."""
    with tempdirs.open_folder() as place:
        return _facts(
            download.download_version(download.ModelDownload(name=name, number=version), uri, place, root=root)
        )


def _facts(folder: Path) -> Mlmodel:
    contents = {}
    for name in _FILES:
        path = folder / name
        if path.is_file() and path.stat().st_size <= _BYTES:
            contents[name] = path.read_bytes()
    if "MLmodel" not in contents:
        raise InputError(f"{folder} is no model: it has no MLmodel", hint="name the folder that MLflow wrote")
    return mlmodel.read(contents)
