"""`m2g` without a verb: where the user is, and what to do next."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from msgspec import UNSET

from m2g.core.errors import InputError
from m2g.core.model import Value
from m2g.repository import config, load
from m2g.repository.state import Repository

_REGISTRY = ("MLFLOW_REGISTRY_URI", "MLFLOW_TRACKING_URI")
_NAME_REGISTRY = ("export MLFLOW_TRACKING_URI=https://mlflow.example.com", "name your MLflow server")
_ASSESS = ("m2g assess", "see what of its models can be served")


class NextSteps(Value, frozen=True, kw_only=True):
    """Where the user is, in one line, and commands with their purpose, the next one first."""

    where: str
    commands: tuple[tuple[str, str], ...]


def find_next_steps(folder: Path) -> NextSteps:
    """The state of `folder` and the commands that lead on. It reads files and asks no server."""
    named = any(os.environ.get(name) for name in _REGISTRY)
    try:
        root = config.find_root(folder)
    except InputError:
        first = () if named else (_NAME_REGISTRY,)
        create = ("m2g init my-models", "create a GitOps repository")
        return NextSteps(where="There is no m2g.yaml in this folder or above it.", commands=(*first, _ASSESS, create))
    try:
        repository = load.read_repository(root)
    except load.InvalidRepository:
        why = "see what is wrong, with file and line"
        return NextSteps(where="m2g cannot read this repository.", commands=(("m2g validate", why),))
    if not repository.records:
        first = () if named or repository.config.registry.uri is not UNSET else (_NAME_REGISTRY,)
        render = ("m2g render", "read the registry and write the manifests")
        return NextSteps(where="No model is in this repository yet.", commands=(*first, _ASSESS, render))
    commands = (
        ("m2g render --dry-run", "see what the registry would change"),
        ("m2g validate", "build every overlay and check every object"),
        ("m2g diff --against main", "see what your branch changes"),
    )
    return NextSteps(where=f"{_count(repository)}.", commands=commands)


def _count(repository: Repository) -> str:
    counts = Counter(environment for _, environment in repository.records)
    models = len({slug for slug, _ in repository.records})
    places = ", ".join(f"{counts[name]} in {name}" for name in repository.config.environments if counts[name])
    return f"{models} model{'s' * (models != 1)}: {places}"
