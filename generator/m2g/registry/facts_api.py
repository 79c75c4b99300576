"""Read the facts of versions from an MLflow server: runs and logged models in chunks, the rest in threads."""

from __future__ import annotations

import functools
import gc
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeAlias
from urllib.parse import quote, urlsplit

import msgspec

from m2g.core.model import ModelVersion, Run, VersionFacts
from m2g.core.sanitize import to_one_line
from m2g.registry import Progress, model_files, object_stores
from m2g.registry.api_types import (
    ApiRun,
    ArtifactsResponse,
    DownloadUriResponse,
    Experiment,
    ExperimentsPage,
    LoggedModelInfo,
    LoggedModelResponse,
    LoggedModelsPage,
    RunResponse,
    RunsPage,
)
from m2g.registry.errors import ErrorResponse, NoRoute, RequestFailed, TooLarge
from m2g.registry.normalize import join_path, make_facts, split_run_uri
from m2g.registry.paging import Listing, list_all
from m2g.registry.proxied_files import ProxiedFiles
from m2g.registry.rest import API, THREADS, Request, RestClient

_CHUNK = 250
_FEW = 8
"""Up to this number, runs are read one by one, because a search first needs the list of all experiments."""
_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_EXPERIMENTS: Listing[ExperimentsPage, Experiment] = Listing(
    path="experiments/search",
    kind=ExperimentsPage,
    sizes=(1000, 100),
    items=lambda page: page.experiments,
    key=lambda experiment: experiment.experiment_id,
)


class _ArtifactLocation(msgspec.Struct, frozen=True):
    """The URI of a version's artifacts, and the request of MLflow's UI that reads one of its files."""

    uri: str
    request: Callable[[str], Request]


MayRead: TypeAlias = Callable[[str], bool]
"""Whether m2g may read this URI itself, with the credentials of the machine."""


class FactsReader:
    """Reads the facts of many versions, hundreds at a time."""

    def __init__(self, rest: RestClient, progress: Progress, may_read: MayRead = lambda uri: False) -> None:
        self._rest = rest
        self._may_read = may_read
        self._direct: set[str] = set()
        """The buckets whose files the server did not give, and m2g reads itself."""
        self._progress = progress
        self._experiments: list[str] | None = None
        """The ids of all experiments, listed once. A search needs them."""
        self._runs: dict[str, ApiRun] = {}
        self._files = ProxiedFiles(rest)
        self._models: dict[str, str] = {}
        """The id of a logged model to the URI of its artifacts."""

    def read_facts(
        self, versions: Sequence[ModelVersion], *, before: int = 0, total: int = 0
    ) -> dict[tuple[str, str], VersionFacts]:
        """The facts of each version. For the progress, `before` were read in earlier calls, of `total` in all calls.

        Raises OutsideError if the server stops responding.
        """
        total = max(total, before + len(versions))
        self._runs, self._models = {}, {}
        self._search(versions)
        facts: dict[tuple[str, str], VersionFacts] = {}
        with ThreadPoolExecutor(THREADS) as pool:
            futures = {
                pool.submit(self._read_or_explain, version): (version.name, version.version) for version in versions
            }
            try:
                for done, future in enumerate(as_completed(futures), before + 1):
                    facts[futures[future]] = future.result()
                    self._progress("facts of versions", done, total)
            finally:
                self._rest.stop()
                pool.shutdown(cancel_futures=True)
        gc.collect(0)  # each request leaves 20 KiB of reference cycles
        return {(version.name, version.version): facts[version.name, version.version] for version in versions}

    def find_artifacts(self, name: str, number: str) -> str:
        """The URI of a version's artifacts. Raises RequestFailed if the server does not say it."""
        uri = self._download_uri({"name": name, "version": number})
        location = self._resolve_run_uri(uri)
        return uri if location is None else location.uri

    def _search(self, versions: Sequence[ModelVersion]) -> None:
        """Read runs and logged models in chunks.

        If a server does not support the search, or a search misses one, it is read separately later.
        """
        runs = sorted({v.run_id for v in versions if _ID.fullmatch(v.run_id)})
        models = sorted({model_id for v in versions if (model_id := _logged_model(v.source))})
        if max(len(runs), len(models)) <= _FEW:
            return
        try:
            experiments = self._all_experiments()
        except ErrorResponse:
            return
        if len(runs) > _FEW:
            self._search_runs(runs, experiments)
        if len(models) > _FEW:
            self._search_models(models, experiments)

    def _all_experiments(self) -> list[str]:
        if self._experiments is None:
            listed = list_all(self._rest, _EXPERIMENTS, {"view_type": "ALL"})
            self._experiments = [one.experiment_id for one in listed]
        return self._experiments

    def _search_runs(self, ids: Sequence[str], experiments: Sequence[str]) -> None:
        for chunk in _chunks(ids):
            query = {
                "experiment_ids": experiments,
                "filter": f"attributes.run_id IN {chunk}",
                "run_view_type": "ALL",
                "max_results": _CHUNK,
            }
            request = Request(path=f"{API}runs/search", body=msgspec.json.encode(query))
            try:
                self._runs |= {run.info.run_id: run for run in self._rest.get_json(request, RunsPage).runs}
            except ErrorResponse:
                return

    def _search_models(self, ids: Sequence[str], experiments: Sequence[str]) -> None:
        """Read logged models (3.x). MLflow 2.22 has none and responds with 404."""
        for chunk in _chunks(ids):
            query = {"experiment_ids": experiments, "filter": f"model_id IN {chunk}", "max_results": _CHUNK}
            request = Request(path=f"{API}logged-models/search", body=msgspec.json.encode(query))
            try:
                models = [model.info for model in self._rest.get_json(request, LoggedModelsPage).models]
            except RequestFailed:
                return
            self._models |= {info.model_id: info.artifact_uri for info in models}

    def _read_or_explain(self, version: ModelVersion) -> VersionFacts:
        """The facts of one version. A failure becomes its `problem`."""
        try:
            return self._read(version)
        except NoRoute as error:
            return VersionFacts(problem=error.message, no_route=True)
        except RequestFailed as error:
            return VersionFacts(problem=error.message, hint=error.hint)

    def _read(self, version: ModelVersion) -> VersionFacts:
        query = {"name": version.name, "version": version.version}
        uri = self._models.get(_logged_model(version.source)) or self._download_uri(query)
        run, notes = self._run_or_note(version.run_id)
        location = self._resolve_run_uri(uri) or _ArtifactLocation(
            uri, _artifact("/model-versions/get-artifact", query)
        )
        files = model_files.read(functools.partial(self._read_file, location, run))
        facts = make_facts(location.uri, None if run is None else _convert(run), files)
        return msgspec.structs.replace(facts, notes=notes)

    def _download_uri(self, query: dict[str, str]) -> str:
        request = Request(path=f"{API}model-versions/get-download-uri", query=query)
        return self._rest.get_json(request, DownloadUriResponse).artifact_uri

    def _run_or_note(self, run_id: str) -> tuple[ApiRun | None, tuple[str, ...]]:
        """The run, or why it is not there. A team may share its models and keep its experiments to itself."""
        try:
            return self._run(run_id), ()
        except ErrorResponse as error:
            if error.status != 403:
                raise
            return None, (error.message,)

    def _run(self, run_id: str) -> ApiRun | None:
        """A run; None if the version has none, or if it was deleted."""
        if not run_id or run_id in self._runs:
            return self._runs.get(run_id)
        try:
            return self._rest.get_json(Request(path=f"{API}runs/get", query={"run_id": run_id}), RunResponse).run
        except ErrorResponse as error:
            if error.is_missing:
                return None
            raise

    def _resolve_run_uri(self, uri: str) -> _ArtifactLocation | None:
        """The location of a `runs:/` URI, which MLflow resolves in the client; None for any other URI.

        Same as mlflow.store.artifact.runs_artifact_repo: the newest logged model of the run with that name, else the
        artifacts of the run.
        """
        split = split_run_uri(uri)
        if split is None:
            return None
        run_id, path = split
        run = self._run(run_id)
        if run is None or not path:
            raise RequestFailed(f"the registry cannot resolve {uri}: the run does not exist, or the URI has no path")
        name, _, rest = path.partition("/")
        for model in self._logged_models(output.model_id for output in run.outputs.model_outputs):
            if model.name == name:
                files = f"/ajax-api/2.0/mlflow/logged-models/{quote(model.model_id, safe='')}/artifacts/files"
                return _ArtifactLocation(
                    join_path(model.artifact_uri, rest), _artifact(files, {}, rest, key="artifact_file_path")
                )
        return _ArtifactLocation(
            join_path(run.info.artifact_uri, path), _artifact("/get-artifact", {"run_id": run_id}, path)
        )

    def _logged_models(self, ids: Iterable[str]) -> list[LoggedModelInfo]:
        requests = [Request(path=f"{API}logged-models/{quote(model_id, safe='')}") for model_id in ids]
        models = [self._rest.get_json(request, LoggedModelResponse).model.info for request in requests]
        return sorted(models, key=lambda model: (-model.creation_timestamp_ms, model.model_id))

    def _read_file(self, location: _ArtifactLocation, run: ApiRun | None, name: str) -> bytes | None:
        """One file, as MLflow's own clients read it if the server proxies its artifacts, else by the route of the UI.

        With `--static-prefix` (2.22) and behind many gateways, only one of the two has an address that m2g knows.
        """
        bucket = urlsplit(location.uri).netloc
        if bucket in self._direct and self._may_read(location.uri):
            return object_stores.read(location.uri, name, model_files.LIMITS[name])
        refused: ErrorResponse | None = None
        if (path := self._files.find_path(location.uri)) is not None:
            try:
                return self._files.read(path, name)
            except ErrorResponse as error:
                refused = error
        try:
            return self._rest.get_file(location.request(name))
        except ErrorResponse as error:
            if error.is_missing or (error.status == 500 and self._is_not_listed(name, location.uri, run)):
                return None
            if object_stores.is_known(location.uri) and self._may_read(location.uri):
                return self._read_store(location.uri, name, error)
            if error.is_no_route and (refused is None or refused.is_no_route):
                raise NoRoute(error.message) from error
            error = error if refused is None or not error.is_no_route else refused
            message = f"the MLflow server cannot read {join_path(location.uri, name)} (see its log): {error.message}"
            raise RequestFailed(message) from error

    def _read_store(self, uri: str, name: str, refused: ErrorResponse) -> bytes | None:
        """A file that the server does not give: it may have no access to the bucket, or not serve artifacts."""
        try:
            content = object_stores.read(uri, name, model_files.LIMITS[name])
        except TooLarge:
            raise
        except RequestFailed as error:
            message = f"neither the MLflow server nor m2g can read {join_path(uri, name)}: {refused.message}; "
            raise RequestFailed(message + error.message, hint=error.hint) from error
        self._direct.add(urlsplit(uri).netloc)
        return content

    def _is_not_listed(self, name: str, uri: str, run: ApiRun | None) -> bool:
        """Whether the run's artifacts do not include a file. MLflow 2.22 responds with HTTP 500 for a missing file."""
        root = f"{run.info.artifact_uri.rstrip('/')}/" if run is not None else ""
        if run is None or not uri.startswith(root):
            return False
        path = uri.removeprefix(root)
        request = Request(path=f"{API}artifacts/list", query={"run_id": run.info.run_id, "path": path})
        try:
            files = self._rest.get_json(request, ArtifactsResponse).files
        except ErrorResponse:
            return False
        return join_path(path, name) not in {file.path for file in files}


def _artifact(path: str, query: dict[str, str], folder: str = "", key: str = "path") -> Callable[[str], Request]:
    def make_request(name: str) -> Request:
        return Request(path=path, query={**query, key: join_path(folder, name)}, limit=model_files.LIMITS[name])

    return make_request


def _logged_model(source: str) -> str:
    """The id in a source `models:/m-<id>`, which MLflow 3 uses for logged models; empty for any other source."""
    model_id = source.removeprefix("models:/")
    return model_id if model_id != source and model_id.startswith("m-") and _ID.fullmatch(model_id) else ""


def _chunks(ids: Sequence[str]) -> Iterator[str]:
    """The ids in chunks, each as a list for MLflow's filters."""
    for start in range(0, len(ids), _CHUNK):
        yield "('" + "','".join(ids[start : start + _CHUNK]) + "')"


def _convert(run: ApiRun) -> Run:
    try:
        return run.to_value()
    except ValueError as error:
        raise RequestFailed(
            f"run {run.info.run_id} has a metric that is not a number: {to_one_line(str(error))}"
        ) from error
