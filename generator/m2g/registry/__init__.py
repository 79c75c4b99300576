"""MLflow behind one Protocol: a server through its REST API, a local store through the mlflow package."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

import msgspec

from m2g.core.errors import InputError
from m2g.core.model import ModelVersion, RegisteredModel, VersionFacts
from m2g.registry.address import StoreKind, parse_address

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with what is read (`registered models`), how many are done, and the total (0 if unknown)."""


class Registry(Protocol):
    """A read-only model registry. Every result is complete and sorted; a partial result is an error.

    Every method raises InputError if the user can fix the cause (address, credentials, workspace), and OutsideError if
    the registry does not answer or its answer is invalid.
    """

    @property
    def identity(self) -> str:
        """The name of the registry in release records: its URI without credentials and query, and its workspace."""

    def list_models(self) -> list[RegisteredModel]:
        """All registered models except prompts, sorted by name, with aliases and tags."""

    def list_versions(self, name: str | None = None) -> list[ModelVersion]:
        """All versions of all registered models, or of one, sorted by name and number."""

    def find_model(self, name: str) -> RegisteredModel | None:
        """One registered model. None only if the registry itself says that it does not exist.

        Raises `registry.errors.RequestFailed` if only this model cannot be read.
        """

    def read_facts(self, versions: Sequence[ModelVersion]) -> dict[tuple[str, str], VersionFacts]:
        """Artifact URI, run and files (`registry.model_files`) of each version, by (name, version).

        A problem with one version becomes its `problem` and does not affect the others. If only its run cannot be
        read, the facts have no run and say so in `notes`.
        """


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """What the credentials of the machine are for.

    If `distrust` says why they are not for the registry, it gets none. `may_read` says whether m2g may read the files
    of a URI in a cloud's store itself, if the server does not give them.
    """

    distrust: str = ""
    may_read: Callable[[str], bool] = lambda uri: False


@runtime_checkable
class TellsProgress(Protocol):
    """A registry that reads versions in several calls, and tells the progress of all."""

    def expect(self, versions: int) -> None:
        """How many versions the next calls of `read_facts` will be asked for."""


@runtime_checkable
class KnowsArtifactRoot(Protocol):
    """A registry that may say where it keeps the files behind `mlflow-artifacts:` URIs."""

    def find_artifact_root(self, uri: str) -> str:
        """The storage URI of `mlflow-artifacts:/`, with a trailing `/`. `uri` is that of a model. Empty if unknown."""


def open_registry(
    uri: str,
    *,
    workspace: str = "",
    progress: Progress = lambda what, done, total: None,
    patience: float = 60,
    trust: Trust | None = None,
) -> Registry:
    """The registry at `uri`: `http(s)://…`, a database (`sqlite:///…`) or a folder. Does not connect yet.

    `workspace` is an MLflow workspace (3.10 and newer). Empty means MLFLOW_WORKSPACE, else the default workspace.
    `patience` is the number of seconds without a valid response after which a server counts as down.
    Credentials and certificates come from MLflow's variables (MLFLOW_TRACKING_USERNAME, …_TOKEN, …).
    Raises InputError for a URI that m2g does not support.
    """
    address, trust = parse_address(uri), trust or Trust()
    if address.kind is StoreKind.SERVER:
        from m2g.registry.server import ServerRegistry  # httpx takes 0.1 s to import

        return ServerRegistry(address, workspace=workspace, progress=progress, patience=patience, trust=trust)
    if workspace:
        raise InputError(
            f"{address.identity} is a local store, which has no workspaces",
            hint="remove registry.workspace, or set registry.uri to the MLflow server",
        )
    from m2g.registry.local import LocalRegistry

    return LocalRegistry(address, progress=progress, distrust=trust.distrust)
