"""Facts of versions from an MLflow server: runs and logged models in chunks, the rest side by side in threads."""

from __future__ import annotations

import functools
import gc
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from urllib.parse import quote

import msgspec

from m2g.core.model import ModelVersion, Run, VersionFacts
from m2g.registry import Progress, model_files
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
from m2g.registry.errors import ErrorResponse, RequestFailed, to_one_line
from m2g.registry.normalize import join_path, split_run_uri
from m2g.registry.paging import Listing, list_all
from m2g.registry.rest import API, THREADS, Request, RestClient

_CHUNK = 250
_FEW = 8
"""Up to so many runs are asked for one by one: a search needs the list of all experiments first."""
_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_EXPERIMENTS: Listing[ExperimentsPage, Experiment] = Listing(
    path="experiments/search",
    kind=ExperimentsPage,
    sizes=(1000, 100),
    items=lambda page: page.experiments,
    key=lambda experiment: experiment.experiment_id,
)


class _Place(msgspec.Struct, frozen=True):
    """Where a version's artifacts are, and the call that reads a file of them."""

    uri: str
    read: Callable[[str], Request]


class FactsReader:
    """Questions about many versions, hundreds at a time."""

    def __init__(self, rest: RestClient, progress: Progress) -> None:
        self._rest = rest
        self._progress = progress
        self._experiments: list[str] | None = None
        """All of them, listed once: a search names where it looks."""
        self._runs: dict[str, ApiRun] = {}
        self._models: dict[str, str] = {}
        """Logged model to the URI of its artifacts."""

    def read_facts(self, versions: Sequence[ModelVersion]) -> dict[tuple[str, str], VersionFacts]:
        """Facts of each version. Raises OutsideError where the server as a whole stops answering."""
        self._runs, self._models = {}, {}
        self._search(versions)
        found: dict[tuple[str, str], VersionFacts] = {}
        with ThreadPoolExecutor(THREADS) as pool:
            futures = {pool.submit(self._of, version): (version.name, version.version) for version in versions}
            try:
                for done, future in enumerate(as_completed(futures), 1):
                    found[futures[future]] = future.result()
                    self._progress("facts of versions", done, len(futures))
            finally:
                self._rest.stop()
                pool.shutdown(cancel_futures=True)
        gc.collect(0)  # a request leaves cycles behind, 20 KiB of them
        return {(version.name, version.version): found[version.name, version.version] for version in versions}

    def _search(self, versions: Sequence[ModelVersion]) -> None:
        """Runs and logged models by the chunk.

        What is not found, or what a server will not search, is asked for one by one later.
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
            question = {
                "experiment_ids": experiments,
                "filter": f"attributes.run_id IN {chunk}",
                "run_view_type": "ALL",
                "max_results": _CHUNK,
            }
            call = Request(path=f"{API}runs/search", body=msgspec.json.encode(question))
            try:
                self._runs |= {run.info.run_id: run for run in self._rest.get_json(call, RunsPage).runs}
            except ErrorResponse:
                return
            self._progress("runs", len(self._runs), len(ids))

    def _search_models(self, ids: Sequence[str], experiments: Sequence[str]) -> None:
        """Logged models (3.x; MLflow 2.22 has none and says 404)."""
        for chunk in _chunks(ids):
            question = {"experiment_ids": experiments, "filter": f"model_id IN {chunk}", "max_results": _CHUNK}
            call = Request(path=f"{API}logged-models/search", body=msgspec.json.encode(question))
            try:
                found = [model.info for model in self._rest.get_json(call, LoggedModelsPage).models]
            except RequestFailed:
                return
            self._models |= {info.model_id: info.artifact_uri for info in found}
            self._progress("logged models", len(self._models), len(ids))

    def _of(self, version: ModelVersion) -> VersionFacts:
        """Facts of one version; what is wrong with it alone becomes its problem."""
        try:
            return self._read(version)
        except RequestFailed as failed:
            return VersionFacts(problem=failed.message)

    def _read(self, version: ModelVersion) -> VersionFacts:
        query = {"name": version.name, "version": version.version}
        uri = self._models.get(_logged_model(version.source)) or self._download_uri(query)
        run = self._run(version.run_id)
        place = self._in_run(uri) or _Place(uri, _artifact("/model-versions/get-artifact", query))
        found = model_files.read(functools.partial(self._file, place, run))
        return VersionFacts(
            artifact_uri=place.uri,
            run=None if run is None else _fact(run),
            files=found.files,
            unread=found.unread,
        )

    def _download_uri(self, query: dict[str, str]) -> str:
        call = Request(path=f"{API}model-versions/get-download-uri", query=query)
        return self._rest.get_json(call, DownloadUriResponse).artifact_uri

    def _run(self, run_id: str) -> ApiRun | None:
        """A run; None where the version has none, or the server has it no more."""
        if not run_id or run_id in self._runs:
            return self._runs.get(run_id)
        try:
            return self._rest.get_json(Request(path=f"{API}runs/get", query={"run_id": run_id}), RunResponse).run
        except ErrorResponse as refused:
            if refused.is_missing:
                return None
            raise

    def _in_run(self, uri: str) -> _Place | None:
        """What a `runs:/` URI stands for, which MLflow resolves on the client's side; None for another URI.

        As mlflow.store.artifact.runs_artifact_repo: a logged model of the run with that name, the newest first;
        else the run's own artifacts.
        """
        split = split_run_uri(uri)
        if split is None:
            return None
        run_id, path = split
        run = self._run(run_id)
        if run is None or not path:
            raise RequestFailed(f"the registry cannot resolve {uri}: there is no such run, or no path")
        name, _, rest = path.partition("/")
        for model in self._logged_models(output.model_id for output in run.outputs.model_outputs):
            if model.name == name:
                files = f"/ajax-api/2.0/mlflow/logged-models/{quote(model.model_id, safe='')}/artifacts/files"
                return _Place(join_path(model.artifact_uri, rest), _artifact(files, {}, rest, key="artifact_file_path"))
        return _Place(join_path(run.info.artifact_uri, path), _artifact("/get-artifact", {"run_id": run_id}, path))

    def _logged_models(self, ids: Iterable[str]) -> list[LoggedModelInfo]:
        calls = [Request(path=f"{API}logged-models/{quote(model_id, safe='')}") for model_id in ids]
        models = [self._rest.get_json(call, LoggedModelResponse).model.info for call in calls]
        return sorted(models, key=lambda model: (-model.creation_timestamp_ms, model.model_id))

    def _file(self, place: _Place, run: ApiRun | None, name: str) -> bytes | None:
        try:
            return self._rest.get_file(place.read(name))
        except ErrorResponse as refused:
            if refused.is_missing or (refused.status == 500 and self._lacks(name, place.uri, run)):
                return None
            problem = f"the MLflow server cannot read {join_path(place.uri, name)} (see its log): {refused.message}"
            raise RequestFailed(problem) from refused

    def _lacks(self, name: str, uri: str, run: ApiRun | None) -> bool:
        """Whether the run's list of artifacts proves it: MLflow 2.22 answers HTTP 500 for a file that is missing."""
        root = f"{run.info.artifact_uri.rstrip('/')}/" if run is not None else ""
        if run is None or not uri.startswith(root):
            return False
        path = uri.removeprefix(root)
        call = Request(path=f"{API}artifacts/list", query={"run_id": run.info.run_id, "path": path})
        try:
            files = self._rest.get_json(call, ArtifactsResponse).files
        except ErrorResponse:
            return False
        return join_path(path, name) not in {file.path for file in files}


def _artifact(path: str, query: dict[str, str], folder: str = "", key: str = "path") -> Callable[[str], Request]:
    def call(name: str) -> Request:
        return Request(path=path, query={**query, key: join_path(folder, name)}, limit=model_files.LIMITS[name])

    return call


def _logged_model(source: str) -> str:
    """The id in a source `models:/m-<id>`, as MLflow 3 registers a logged model; empty for another source."""
    model_id = source.removeprefix("models:/")
    return model_id if model_id != source and model_id.startswith("m-") and _ID.fullmatch(model_id) else ""


def _chunks(ids: Sequence[str]) -> Iterator[str]:
    """Lists for MLflow's filters, a chunk each."""
    for start in range(0, len(ids), _CHUNK):
        yield "('" + "','".join(ids[start : start + _CHUNK]) + "')"


def _fact(run: ApiRun) -> Run:
    try:
        return run.to_value()
    except ValueError as error:
        raise RequestFailed(
            f"run {run.info.run_id} has a metric that is no number: {to_one_line(str(error))}"
        ) from error
