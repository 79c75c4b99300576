"""A registry behind an MLflow server, read by its documented REST API (2.22 and 3.x)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from m2g.core.errors import InputError, OutsideError
from m2g.core.model import ModelVersion, RegisteredModel, VersionFacts
from m2g.registry import Progress
from m2g.registry.address import Address
from m2g.registry.api_types import Model, Models, OneModel, ServerInfo, Version, Versions
from m2g.registry.auth import workspace_name
from m2g.registry.errors import Refused
from m2g.registry.normalize import by_name, by_version
from m2g.registry.paging import Listing, collect
from m2g.registry.rest import API, Call, Rest

if TYPE_CHECKING:
    from m2g.registry.facts_api import Lookup

_MODELS: Listing[Models, Model] = Listing(
    path="registered-models/search",
    kind=Models,
    sizes=(1000, 100),
    items=lambda page: page.registered_models,
    key=lambda model: model.name,
)
_VERSIONS: Listing[Versions, Version] = Listing(
    path="model-versions/search",
    kind=Versions,
    sizes=(10_000, 1000, 100),
    items=lambda page: page.model_versions,
    key=lambda version: (version.name, version.version),
)


class ServerRegistry:
    """See `m2g.registry.Registry`. A workspace is part of the identity: names are unique only inside one."""

    def __init__(self, place: Address, *, workspace: str, progress: Progress, patience: float) -> None:
        self._workspace = workspace_name(workspace)
        self._identity = f"{place.identity}#{self._workspace}" if self._workspace else place.identity
        self._progress = progress
        self._rest = Rest(place, workspace=self._workspace, patience=patience)
        self._is_checked = not self._workspace
        self._lookup: Lookup | None = None

    @property
    def identity(self) -> str:
        """As `Registry.identity`."""
        return self._identity

    def models(self) -> list[RegisteredModel]:
        """As `Registry.models`: as many calls as there are pages."""
        with self._rest:
            self._check_workspace()
            found = collect(self._rest, _MODELS, tell=lambda count: self._progress("registered models", count, 0))
        return by_name(fact for model in found if (fact := model.fact()) is not None)

    def versions(self, name: str | None = None) -> list[ModelVersion]:
        """As `Registry.versions`: as many calls as there are pages."""
        query = {} if name is None else _filter(name)
        with self._rest:
            self._check_workspace()
            found = collect(self._rest, _VERSIONS, query, lambda count: self._progress("model versions", count, 0))
        wanted = (version.fact() for version in found if name in {None, version.name})
        return by_version(fact for fact in wanted if fact is not None)

    def model(self, name: str) -> RegisteredModel | None:
        """As `Registry.model`."""
        call = Call(path=f"{API}registered-models/get", query={"name": name})
        with self._rest:
            self._check_workspace()
            try:
                found = self._rest.json(call, OneModel).registered_model
            except Refused as refused:
                if refused.says_missing:
                    return None
                raise
        if found.name == name:
            return found.fact()
        if found.name.casefold() == name.casefold():
            return None  # MySQL compares without case: the name asked for is not there
        raise OutsideError(f"{self._identity}: asked for the registered model {name!r}, the server sent another one")

    def facts(self, versions: Sequence[ModelVersion]) -> dict[tuple[str, str], VersionFacts]:
        """As `Registry.facts`: two to four calls a version, one for 250 runs or logged models, the experiments once."""
        if not versions:
            return {}
        from m2g.registry.facts_api import Lookup  # with threads; mostly there is no version that is not known

        self._lookup = self._lookup or Lookup(self._rest, self._progress)
        with self._rest:
            self._check_workspace()
            return self._lookup.facts(by_version(versions))

    def _check_workspace(self) -> None:
        """Make sure that the workspace exists, once: "no such workspace" must not pass for "no such model"."""
        if self._is_checked:
            return
        try:
            info = self._rest.json(Call(path="/api/3.0/mlflow/server-info"), ServerInfo)
        except Refused as refused:
            if refused.status != 404:
                raise
            info = ServerInfo()
        if not info.workspaces_enabled:
            raise InputError(
                f"{self._identity}: the server has no workspaces",
                hint="remove registry.workspace and MLFLOW_WORKSPACE, or start the server (MLflow 3.10 or newer) with "
                "--enable-workspaces",
            )
        self._rest.json(Call(path=f"{API}registered-models/search", query={"max_results": 1}), Models)
        self._is_checked = True


def _filter(name: str) -> dict[str, str | int]:
    """MLflow's filter for one name. Its parser has no way to write both kinds of quotes: then all are listed."""
    if "'" not in name:
        return {"filter": f"name='{name}'"}
    return {} if '"' in name else {"filter": f'name="{name}"'}
