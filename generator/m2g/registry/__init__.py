"""MLflow behind one Protocol: a server by its REST API, a local store by the mlflow package."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from m2g.core.errors import InputError
from m2g.core.model import ModelVersion, RegisteredModel, VersionFacts
from m2g.registry.address import StoreKind, parse_address

Progress: TypeAlias = Callable[[str, int, int], None]
"""Told what is read (`registered models`), how many are done, and of how many (0: not known)."""


class Registry(Protocol):
    """A model registry, read only. Every answer is complete and sorted, or an error: never a part.

    Every method raises InputError where the person can mend it (address, credentials, workspace) and OutsideError
    where the registry does not answer, or answers nonsense.
    """

    @property
    def identity(self) -> str:
        """The registry's name in release records: its URI without credentials and query, and its workspace."""

    def list_models(self) -> list[RegisteredModel]:
        """All registered models but prompts, by name, with aliases and tags."""

    def list_versions(self, name: str | None = None) -> list[ModelVersion]:
        """All versions of all registered models, or of one; by name, then by number."""

    def find_model(self, name: str) -> RegisteredModel | None:
        """One registered model, asked for by name. None only where the registry itself says that it has none."""

    def read_facts(self, versions: Sequence[ModelVersion]) -> dict[tuple[str, str], VersionFacts]:
        """Artifact URI, run and files (`registry.beside`) of each version, by (name, version).

        What is wrong with one version is its `problem` and does not fail the others.
        """


def open_registry(
    uri: str,
    *,
    workspace: str = "",
    progress: Progress = lambda what, done, total: None,
    patience: float = 60,
) -> Registry:
    """The registry at `uri`: `http(s)://…`, a database (`sqlite:///…`) or a folder. Nothing is asked yet.

    `workspace` is MLflow's (3.10 and newer); empty means MLFLOW_WORKSPACE, or the server's default one.
    `patience` is how many seconds a server may go without a good answer before it counts as down.
    Credentials and certificates come from MLflow's own variables (MLFLOW_TRACKING_USERNAME, …_TOKEN, …).
    Raises InputError for a URI that m2g cannot read.
    """
    place = parse_address(uri)
    if place.kind is StoreKind.SERVER:
        from m2g.registry.server import ServerRegistry  # httpx takes 0.1 s to import

        return ServerRegistry(place, workspace=workspace, progress=progress, patience=patience)
    if workspace:
        raise InputError(
            f"{place.identity} is a local store and has no workspaces",
            hint="remove registry.workspace, or name the MLflow server as registry.uri",
        )
    from m2g.registry.local import LocalRegistry

    return LocalRegistry(place, progress=progress)
