"""A registry behind an MLflow server, read by its documented REST API (2.22 and 3.x)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from m2g.core.errors import InputError, OutsideError
from m2g.core.model import ModelVersion, RegisteredModel, VersionFacts
from m2g.registry import Progress
from m2g.registry.address import Address
from m2g.registry.api_types import ApiModel, ApiVersion, ModelResponse, ModelsPage, ServerInfo, VersionsPage
from m2g.registry.auth import resolve_workspace
from m2g.registry.errors import ErrorResponse
from m2g.registry.normalize import sort_models, sort_versions
from m2g.registry.paging import Listing, list_all
from m2g.registry.rest import API, Request, RestClient

if TYPE_CHECKING:
    from m2g.registry.facts_api import FactsReader

_MODELS: Listing[ModelsPage, ApiModel] = Listing(
    path="registered-models/search",
    kind=ModelsPage,
    sizes=(1000, 100),
    items=lambda page: page.registered_models,
    key=lambda model: model.name,
)
_VERSIONS: Listing[VersionsPage, ApiVersion] = Listing(
    path="model-versions/search",
    kind=VersionsPage,
    sizes=(10_000, 1000, 100),
    items=lambda page: page.model_versions,
    key=lambda version: (version.name, version.version),
)


class ServerRegistry:
    """See `m2g.registry.Registry`. A workspace is part of the identity: names are unique only inside one."""

    def __init__(self, place: Address, *, workspace: str, progress: Progress, patience: float) -> None:
        self._workspace = resolve_workspace(workspace)
        self._identity = f"{place.identity}#{self._workspace}" if self._workspace else place.identity
        self._progress = progress
        self._rest = RestClient(place, workspace=self._workspace, patience=patience)
        self._is_checked = not self._workspace
        self._lookup: FactsReader | None = None

    @property
    def identity(self) -> str:
        """As `Registry.identity`."""
        return self._identity

    def list_models(self) -> list[RegisteredModel]:
        """As `Registry.models`: as many calls as there are pages."""
        with self._rest:
            self._check_workspace()
            found = list_all(self._rest, _MODELS, tell=lambda count: self._progress("registered models", count, 0))
        return sort_models(fact for model in found if (fact := model.to_value()) is not None)

    def list_versions(self, name: str | None = None) -> list[ModelVersion]:
        """As `Registry.versions`: as many calls as there are pages."""
        query = {} if name is None else _filter(name)
        with self._rest:
            self._check_workspace()
            found = list_all(self._rest, _VERSIONS, query, lambda count: self._progress("model versions", count, 0))
        wanted = (version.to_value() for version in found if name in {None, version.name})
        return sort_versions(fact for fact in wanted if fact is not None)

    def find_model(self, name: str) -> RegisteredModel | None:
        """As `Registry.model`."""
        call = Request(path=f"{API}registered-models/get", query={"name": name})
        with self._rest:
            self._check_workspace()
            try:
                found = self._rest.get_json(call, ModelResponse).registered_model
            except ErrorResponse as refused:
                if refused.is_missing:
                    return None
                raise
        if found.name == name:
            return found.to_value()
        if found.name.casefold() == name.casefold():
            return None  # MySQL compares without case: the name asked for is not there
        raise OutsideError(f"{self._identity}: asked for the registered model {name!r}, the server sent another one")

    def read_facts(self, versions: Sequence[ModelVersion]) -> dict[tuple[str, str], VersionFacts]:
        """As `Registry.facts`: two to four calls a version, one for 250 runs or logged models, the experiments once."""
        if not versions:
            return {}
        from m2g.registry.facts_api import FactsReader  # with threads; mostly there is no version that is not known

        self._lookup = self._lookup or FactsReader(self._rest, self._progress)
        with self._rest:
            self._check_workspace()
            return self._lookup.read_facts(sort_versions(versions))

    def _check_workspace(self) -> None:
        """Make sure that the workspace exists, once: "no such workspace" must not pass for "no such model"."""
        if self._is_checked:
            return
        try:
            info = self._rest.get_json(Request(path="/api/3.0/mlflow/server-info"), ServerInfo)
        except ErrorResponse as refused:
            if refused.status != 404:
                raise
            info = ServerInfo()
        if not info.workspaces_enabled:
            raise InputError(
                f"{self._identity}: the server has no workspaces",
                hint="remove registry.workspace and MLFLOW_WORKSPACE, or start the server (MLflow 3.10 or newer) with "
                "--enable-workspaces",
            )
        self._rest.get_json(Request(path=f"{API}registered-models/search", query={"max_results": 1}), ModelsPage)
        self._is_checked = True


def _filter(name: str) -> dict[str, str | int]:
    """MLflow's filter for one name. Its parser has no way to write both kinds of quotes: then all are listed."""
    if "'" not in name:
        return {"filter": f"name='{name}'"}
    return {} if '"' in name else {"filter": f'name="{name}"'}
