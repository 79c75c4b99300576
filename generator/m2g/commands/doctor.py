"""`m2g doctor`: do this machine, the registry and the cluster have what m2g and its files need? It changes nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from msgspec import UNSET

from m2g.cluster import Kubectl, check_cluster
from m2g.core import process, safe_files
from m2g.core.config_types import Config
from m2g.core.errors import InputError, M2gError, OutsideError
from m2g.core.results import Check, Diagnosis
from m2g.kustomize import find_command
from m2g.registry import Registry
from m2g.repository import config, load
from m2g.repository.state import Repository, Scope, check_environments
from m2g.smoke.walls import probe_walls

_VERSION = re.compile(r"v?(\d+)\.\d+\.\d+")
_KUSTOMIZE = 5
_PIPELINES = (".github/workflows/*.yml", ".gitea/workflows/*.yml", ".forgejo/workflows/*.yml", ".gitlab-ci.yml")
_PLATFORM = ("platform/argocd/*.yaml", "platform/flux/*.yaml")
_OLD_BRANCH = "m2g/render"
_UPDATE = 'pipx run "copier>=9.7" update'
_INSTALL_KUSTOMIZE = "install kustomize 5: https://kubectl.docs.kubernetes.io/installation/kustomize"


def diagnose(folder: Path, *, open_registry: Callable[[Config], Registry]) -> Diagnosis:
    """Check the programs on this machine, the repository around `folder` and its registry."""
    return Diagnosis(checks=(*_check_machine(), *_check_repository(folder, open_registry)))


def diagnose_cluster(folder: Path, *, context: str, environments: Sequence[str]) -> Diagnosis:
    """Check the cluster of a kubectl context, which serves these environments, or all of m2g.yaml.

    Raises InputError outside of a repository and for an unknown environment, OutsideError if there is no kubectl or the
    cluster does not answer.
    """
    repository = load.read_repository(config.find_root(folder))
    check_environments(repository.config, Scope(environments=frozenset(environments)))
    chosen = [name for name in repository.config.environments if not environments or name in environments]
    return Diagnosis(checks=tuple(check_cluster(Kubectl(context), repository.config, chosen)))


def _check_machine() -> Iterator[Check]:
    yield _check_kustomize()
    for program, purpose, step in (
        ("git", "m2g diff compares commits", "install Git"),
        ("uv", "m2g image and m2g smoke lock and install packages", "python -m pip install uv"),
        ("mlflow", "m2g smoke and m2g image download models", "python -m pip install 'mlflow>=2.22,<4'"),
    ):
        place = process.find_program(program)
        if place:
            yield Check(name=program, state="ok", message=place)
            continue
        message = f"is not on PATH: {purpose} with it"
        yield Check(name=program, state="problem" if program == "git" else "warning", message=message, step=step)
    walls = probe_walls()
    if walls.complete:
        yield Check(name="walls", state="ok", message="m2g smoke separates a model's code from this machine")
    else:
        message = f"m2g smoke cannot separate a model's code from this machine: {walls.problem}"
        yield Check(name="walls", state="warning", message=message, step=walls.hint)


def _check_kustomize() -> Check:
    try:
        program, verb, _ = find_command()
    except OutsideError as error:
        return Check(name="kustomize", state="problem", message=error.message, step=error.hint)
    ran = process.run([program, "version", *(["--client"] if verb == "kustomize" else [])])
    words = ran.stdout.decode(errors="replace").split("Kustomize Version:")[-1]
    found = _VERSION.search(words)
    if found is None:
        message = f"{program} does not say its version"
        return Check(name="kustomize", state="problem", message=message, step=_INSTALL_KUSTOMIZE)
    if int(found[1]) < _KUSTOMIZE:
        message = f"{program} is version {found[0]}; m2g needs {_KUSTOMIZE}"
        return Check(name="kustomize", state="problem", message=message, step=_INSTALL_KUSTOMIZE)
    return Check(name="kustomize", state="ok", message=f"{found[0]}, {program}")


def _check_repository(folder: Path, open_registry: Callable[[Config], Registry]) -> Iterator[Check]:
    try:
        root = config.find_root(folder)
        repository = load.read_repository(root)
    except load.InvalidRepository as error:
        message = f"{len(error.findings)} findings in {', '.join(sorted({one.file for one in error.findings}))}"
        yield Check(name="repository", state="problem", message=message, step="see them: m2g validate")
        return
    except InputError as error:
        yield Check(name="repository", state="warning", message=error.message, step="create one: m2g init my-models")
        return
    models = len({slug for slug, _ in repository.records})
    yield Check(name="repository", state="ok", message=f"{root}, models: {models}")
    yield from _check_sync(repository)
    yield from check_scaffold(root)
    yield _check_registry(repository.config, open_registry)


def check_scaffold(root: Path) -> Iterator[Check]:
    """Whether the files that `m2g init` made are of this m2g: the pipelines, and what Argo CD and Flux may apply."""
    pipelines = [path for pattern in _PIPELINES for path in root.glob(pattern) if "m2g" in _read(root, path)]
    old = sorted(path.relative_to(root).as_posix() for path in pipelines if _OLD_BRANCH in _read(root, path))
    if old:
        message = f"{old[0]} is of an older m2g: one job reads the registry and pushes the branch {_OLD_BRANCH}"
        yield Check(name="workflows", state="warning", message=message, step=_UPDATE)
    elif pipelines:
        yield Check(name="workflows", state="ok", message=f"{len(pipelines)} files")
    platform = sorted(path for pattern in _PLATFORM for path in root.glob(pattern))
    texts = {path: _read(root, path).lower() for path in platform}
    stale = [path for path, text in texts.items() if "serving.kserve.io" in text and "servingruntime" not in text]
    if stale:
        message = f"{stale[0].relative_to(root).as_posix()} deploys no serving environments, which models can share"
        yield Check(name="platform", state="warning", message=message, step=_UPDATE)


def _read(root: Path, path: Path) -> str:
    try:
        return safe_files.read(root, path.relative_to(root).as_posix()).decode(errors="replace")
    except (M2gError, FileNotFoundError):
        return ""


def _check_sync(repository: Repository) -> Iterator[Check]:
    sync = repository.config.sync
    if sync.argocd is UNSET and sync.flux is UNSET:
        message = "m2g.yaml names neither Argo CD nor Flux, so nothing deploys what m2g writes"
        step = "add to m2g.yaml: sync: {argocd: {}} or sync: {flux: {}}, then: m2g render --locked"
        yield Check(name="sync", state="warning", message=message, step=step)


def _check_registry(settings: Config, open_registry: Callable[[Config], Registry]) -> Check:
    try:
        registry = open_registry(settings)
        models = registry.list_models()
    except M2gError as error:
        return Check(name="registry", state="problem", message=error.message, step=error.hint)
    return Check(name="registry", state="ok", message=f"{registry.identity}, registered models: {len(models)}")
