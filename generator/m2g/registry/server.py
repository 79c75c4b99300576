"""A registry on an MLflow server, read through its documented REST API (2.22 and 3.x)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from m2g.core.errors import InputError, OutsideError
from m2g.core.model import ModelVersion, RegisteredModel, VersionFacts
from m2g.registry import Progress, Trust
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
    """Implements `m2g.registry.Registry`. The identity includes the workspace, because names are unique only inside
    it."""

    def __init__(self, address: Address, *, workspace: str, progress: Progress, patience: float, trust: Trust) -> None:
        self._may_read = trust.may_read
        self._workspace = resolve_workspace(workspace)
        self._identity = f"{address.identity}#{self._workspace}" if self._workspace else address.identity
        self._progress = progress
        self._rest = RestClient(address, workspace=self._workspace, patience=patience, distrust=trust.distrust)
        self._is_checked = not self._workspace
        self._lookup: FactsReader | None = None
        self._expected = self._read = 0

    @property
    def identity(self) -> str:
        """See `Registry.identity`."""
        return self._identity

    def list_models(self) -> list[RegisteredModel]:
        """See `Registry.list_models`. One request per page."""
        with self._rest:
            self._check_workspace()
            found = list_all(self._rest, _MODELS, progress=lambda count: self._progress("registered models", count, 0))
        return sort_models(fact for model in found if (fact := model.to_value()) is not None)

    def list_versions(self, name: str | None = None) -> list[ModelVersion]:
        """See `Registry.list_versions`. One request per page."""
        query = {} if name is None else _filter(name)
        with self._rest:
            self._check_workspace()
            found = list_all(self._rest, _VERSIONS, query, lambda count: self._progress("model versions", count, 0))
        wanted = (version.to_value() for version in found if name in {None, version.name})
        return sort_versions(fact for fact in wanted if fact is not None)

    def find_model(self, name: str) -> RegisteredModel | None:
        """See `Registry.find_model`."""
        request = Request(path=f"{API}registered-models/get", query={"name": name})
        with self._rest:
            self._check_workspace()
            try:
                found = self._rest.get_json(request, ModelResponse).registered_model
            except ErrorResponse as error:
                if error.is_missing:
                    return None
                raise
        if found.name == name:
            return found.to_value()
        if found.name.casefold() == name.casefold():
            return None  # MySQL ignores case, so this is another model
        raise OutsideError(f"{self._identity}: the server sent another registered model instead of {name!r}")

    def find_artifact_root(self, uri: str) -> str:
        """See `KnowsArtifactRoot.find_artifact_root`."""
        from m2g.registry.artifact_root import find_artifact_root

        with self._rest:
            return find_artifact_root(self._rest, uri)

    def expect(self, versions: int) -> None:
        """See `TellsProgress.expect`."""
        self._expected, self._read = versions, 0

    def read_facts(self, versions: Sequence[ModelVersion]) -> dict[tuple[str, str], VersionFacts]:
        """See `Registry.read_facts`. Two to four requests per version, one per 250 runs or logged models, and one list
        of experiments."""
        if not versions:
            return {}
        from m2g.registry.facts_api import FactsReader  # needs threads, and is often not needed

        self._lookup = self._lookup or FactsReader(self._rest, self._progress, self._may_read)
        with self._rest:
            self._check_workspace()
            facts = self._lookup.read_facts(sort_versions(versions), before=self._read, total=self._expected)
        self._read += len(versions)
        return facts

    def _check_workspace(self) -> None:
        """Check once that the workspace exists, so that a missing workspace does not look like a missing model."""
        if self._is_checked:
            return
        try:
            info = self._rest.get_json(Request(path="/api/3.0/mlflow/server-info"), ServerInfo)
        except ErrorResponse as error:
            if error.status != 404:
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
    """MLflow's filter for one name. Its parser cannot escape quotes, so a name with both kinds of quotes lists
    everything."""
    if "'" not in name:
        return {"filter": f"name='{name}'"}
    return {} if '"' in name else {"filter": f'name="{name}"'}
