"""Facts of single versions from an MLflow server: runs in chunks, the rest side by side in a few threads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from urllib.parse import quote

import msgspec

from m2g.model import ModelVersion, Run, VersionFacts
from m2g.registry import Progress
from m2g.registry.answers import (
    DownloadUri,
    Experiment,
    Experiments,
    Files,
    LoggedModelInfo,
    OneLoggedModel,
    OneRun,
    RunAnswer,
    Runs,
)
from m2g.registry.normal import MAX_MLMODEL, MLMODEL, inside, run_path
from m2g.registry.paging import Listing, collect
from m2g.registry.refusal import OneFailed, Refused, quoted
from m2g.registry.rest import API, THREADS, Call, Rest

_CHUNK = 250
_FEW = 8
"""Up to so many runs are asked for one by one: a search needs the list of all experiments first."""
_RUN_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_EXPERIMENTS: Listing[Experiments, Experiment] = Listing(
    path="experiments/search",
    kind=Experiments,
    sizes=(1000, 100),
    items=lambda page: page.experiments,
    key=lambda experiment: experiment.experiment_id,
)


class _Place(msgspec.Struct, frozen=True):
    """Where a version's artifacts are, and the call that reads its MLmodel."""

    uri: str
    read: Call


class Lookup:
    """One question about many versions; made for one call of `Registry.facts`."""

    def __init__(self, rest: Rest, progress: Progress) -> None:
        self._rest = rest
        self._progress = progress
        self._runs: dict[str, RunAnswer] = {}

    def facts(self, versions: Sequence[ModelVersion]) -> dict[tuple[str, str], VersionFacts]:
        """Facts of each version. Raises OutsideError where the server as a whole stops answering."""
        self._search_runs(sorted({v.run_id for v in versions if _RUN_ID.fullmatch(v.run_id)}))
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
        return {(version.name, version.version): found[version.name, version.version] for version in versions}

    def _search_runs(self, ids: Sequence[str]) -> None:
        """Runs by the chunk. What is not found, or what a server will not search, is asked for one by one later."""
        if len(ids) <= _FEW:
            return
        try:
            experiments = collect(self._rest, _EXPERIMENTS, {"view_type": "ALL"})
            for start in range(0, len(ids), _CHUNK):
                chunk = ids[start : start + _CHUNK]
                question = {
                    "experiment_ids": [experiment.experiment_id for experiment in experiments],
                    "filter": "attributes.run_id IN ('" + "','".join(chunk) + "')",
                    "run_view_type": "ALL",
                    "max_results": len(chunk),
                }
                call = Call(path=f"{API}runs/search", body=msgspec.json.encode(question))
                self._runs |= {run.info.run_id: run for run in self._rest.json(call, Runs).runs}
                self._progress("runs", len(self._runs), len(ids))
        except Refused:
            return

    def _of(self, version: ModelVersion) -> VersionFacts:
        """Facts of one version; what is wrong with it alone becomes its problem."""
        try:
            return self._read(version)
        except OneFailed as failed:
            return VersionFacts(problem=failed.message)

    def _read(self, version: ModelVersion) -> VersionFacts:
        query = {"name": version.name, "version": version.version}
        call = Call(path=f"{API}model-versions/get-download-uri", query=query)
        uri = self._rest.json(call, DownloadUri).artifact_uri
        run = self._run(version.run_id)
        place = self._in_run(uri) or _Place(uri, _artifact("/model-versions/get-artifact", query, MLMODEL))
        return VersionFacts(
            artifact_uri=place.uri,
            run=None if run is None else _fact(run),
            mlmodel=self._mlmodel(place, run),
        )

    def _run(self, run_id: str) -> RunAnswer | None:
        """A run; None where the version has none, or the server has it no more."""
        if not run_id or run_id in self._runs:
            return self._runs.get(run_id)
        try:
            return self._rest.json(Call(path=f"{API}runs/get", query={"run_id": run_id}), OneRun).run
        except Refused as refused:
            if refused.says_missing:
                return None
            raise

    def _in_run(self, uri: str) -> _Place | None:
        """What a `runs:/` URI stands for, which MLflow resolves on the client's side; None for another URI.

        As mlflow.store.artifact.runs_artifact_repo: a logged model of the run with that name, the newest first;
        else the run's own artifacts.
        """
        split = run_path(uri)
        if split is None:
            return None
        run_id, path = split
        run = self._run(run_id)
        if run is None or not path:
            raise OneFailed(f"the registry cannot resolve {uri}: there is no such run, or no path")
        name, _, rest = path.partition("/")
        for model in self._logged_models(output.model_id for output in run.outputs.model_outputs):
            if model.name == name:
                files = f"/ajax-api/2.0/mlflow/logged-models/{quote(model.model_id, safe='')}/artifacts/files"
                read = Call(path=files, query={"artifact_file_path": inside(rest, MLMODEL)}, limit=MAX_MLMODEL)
                return _Place(inside(model.artifact_uri, rest), read)
        read = _artifact("/get-artifact", {"run_id": run_id}, inside(path, MLMODEL))
        return _Place(inside(run.info.artifact_uri, path), read)

    def _logged_models(self, ids: Iterable[str]) -> list[LoggedModelInfo]:
        calls = [Call(path=f"{API}logged-models/{quote(model_id, safe='')}") for model_id in ids]
        models = [self._rest.json(call, OneLoggedModel).model.info for call in calls]
        return sorted(models, key=lambda model: (-model.creation_timestamp_ms, model.model_id))

    def _mlmodel(self, place: _Place, run: RunAnswer | None) -> bytes | None:
        try:
            return self._rest.file(place.read)
        except Refused as refused:
            if refused.says_missing or (refused.status == 500 and self._lacks_mlmodel(place.uri, run)):
                return None
            problem = f"the MLflow server cannot read {inside(place.uri, MLMODEL)} (see its log): {refused.message}"
            raise OneFailed(problem) from refused

    def _lacks_mlmodel(self, uri: str, run: RunAnswer | None) -> bool:
        """Whether the run's list of artifacts proves it: MLflow 2.22 answers HTTP 500 for a file that is missing."""
        root = f"{run.info.artifact_uri.rstrip('/')}/" if run is not None else ""
        if run is None or not uri.startswith(root):
            return False
        path = uri.removeprefix(root)
        call = Call(path=f"{API}artifacts/list", query={"run_id": run.info.run_id, "path": path})
        try:
            files = self._rest.json(call, Files).files
        except Refused:
            return False
        return inside(path, MLMODEL) not in {file.path for file in files}


def _artifact(path: str, query: dict[str, str], file: str) -> Call:
    return Call(path=path, query={**query, "path": file}, limit=MAX_MLMODEL)


def _fact(run: RunAnswer) -> Run:
    try:
        return run.fact()
    except ValueError as error:
        raise OneFailed(f"run {run.info.run_id} has a metric that is no number: {quoted(str(error))}") from error
