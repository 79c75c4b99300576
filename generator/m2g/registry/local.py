"""A registry without a server: a database or a folder, read by the mlflow package. Only this module imports mlflow."""

from __future__ import annotations

import functools
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import parse_qsl, urlsplit

from m2g.core import tempdirs
from m2g.core.errors import InputError, M2gError, OutsideError
from m2g.core.model import ModelVersion, RegisteredModel, Run, VersionFacts
from m2g.core.sanitize import to_one_line
from m2g.registry import Progress, artifacts, model_files, object_stores
from m2g.registry.address import Address, StoreKind, parse_address
from m2g.registry.auth import is_tracking_server
from m2g.registry.database import Snapshot, check_schema
from m2g.registry.deadline import Worker
from m2g.registry.errors import NOT_FOUND, ErrorResponse, RequestFailed, TooLarge, explain_distrust
from m2g.registry.model_files import ENVIRONMENT, GZIP, LIMITS
from m2g.registry.normalize import (
    is_prompt,
    join_path,
    make_facts,
    make_model,
    make_run,
    make_version,
    sort_models,
    sort_versions,
    split_run_uri,
)
from m2g.registry.rest import Request, RestClient

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun
    from mlflow.entities.model_registry import ModelVersion as MlflowVersion
    from mlflow.entities.model_registry import RegisteredModel as MlflowModel
    from mlflow.store.entities import PagedList

_PAGE = 1000
_HINT = "check that the store is complete; if a newer MLflow wrote it, upgrade the installed mlflow package"
_VARIABLE = "MLFLOW_TRACKING_URI"
_CALL = 300.0
"""Seconds for one call: the mlflow package needs some for a page of a thousand models."""
_DOWNLOAD = 60.0
_HTTP = 20.0
_AFTER_FAILURE = 5.0
_TOTAL = 3600.0
"""Seconds for all calls of a run."""
_T = TypeVar("_T")


class LocalRegistry:
    """Implements `m2g.registry.Registry`. It writes nothing: a SQLite database is copied first, others are checked.

    The mlflow package would migrate the tables of an older MLflow in place, while a server uses them. If `distrust`
    says why the credentials of the environment are not for what the store names, nothing but the disk is read.
    """

    def __init__(self, address: Address, *, progress: Progress, distrust: str = "") -> None:
        if distrust and address.kind is StoreKind.DATABASE:
            error = OutsideError(f"{address.identity}: m2g does not connect to this database")
            raise explain_distrust(address.identity, error, distrust)
        self._distrust = distrust
        self._address = address
        self._progress = progress
        self._runs: dict[str, MlflowRun | None] = {}
        self._snapshot: Snapshot | None = None
        self._uri = address.uri
        self._worker = Worker()
        self._slow: set[str] = set()
        """The hosts of artifacts that did not answer in time."""
        self._end = float("inf")

    @property
    def identity(self) -> str:
        """See `Registry.identity`. It is the URI that the user wrote."""
        return self._address.identity

    def list_models(self) -> list[RegisteredModel]:
        """See `Registry.list_models`."""
        client = self._client
        listed = self._list_all(lambda token: client.search_registered_models(max_results=_PAGE, page_token=token))
        return sort_models(_convert_model(model) for model in listed if not is_prompt(model.tags))

    def list_versions(self, name: str | None = None) -> list[ModelVersion]:
        """See `Registry.list_versions`."""
        client = self._client
        listed = self._list_all(lambda token: client.search_model_versions(max_results=_PAGE, page_token=token))
        return sort_versions(_convert_version(v) for v in listed if name in {None, v.name} and not is_prompt(v.tags))

    def find_model(self, name: str) -> RegisteredModel | None:
        """See `Registry.find_model`."""
        client = self._client
        found = self._call(lambda: client.get_registered_model(name))
        return None if found is None or is_prompt(found.tags) else _convert_model(found)

    def read_facts(self, versions: Sequence[ModelVersion]) -> dict[tuple[str, str], VersionFacts]:
        """See `Registry.read_facts`."""
        facts: dict[tuple[str, str], VersionFacts] = {}
        for done, version in enumerate(sort_versions(versions), 1):
            try:
                facts[version.name, version.version] = self._read(version)
            except RequestFailed as error:
                facts[version.name, version.version] = VersionFacts(problem=error.message, hint=error.hint)
            self._progress("facts of versions", done, len(versions))
        return facts

    @functools.cached_property
    def _client(self) -> MlflowClient:
        self._uri = self._prepare_store()
        self._progress("the mlflow package", 0, 0)
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # its seven retries take minutes for each file
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # 3.x needs this for folder stores
        try:
            return self._wait("opens the store", self._open, _CALL)
        except ImportError as error:
            raise InputError(
                f"{self.identity} is a local store, but the mlflow package is not installed ({error.name})",
                hint="pip install 'mlflow>=2.22,<4', or set registry.uri to an MLflow server",
            ) from error

    def _open(self) -> MlflowClient:
        import mlflow
        from mlflow import MlflowClient

        logging.getLogger("alembic").setLevel(logging.ERROR)
        if self._address.kind is StoreKind.DATABASE:
            check_schema(self._address, Path(mlflow.__file__).parent / "store/db_migrations")
        client = self._ask(lambda: MlflowClient(tracking_uri=self._uri, registry_uri=self._uri))
        if client is None:
            raise OutsideError(f"{self.identity}: the store does not exist", hint=_HINT)
        return client

    def _prepare_store(self) -> str:
        """The URI for the mlflow package. Raises InputError if there is no store, because mlflow would create one."""
        address = self._address
        if address.kind is StoreKind.SQLITE:
            self._snapshot = Snapshot(address)
            return self._snapshot.uri
        folder = artifacts.find_local_path(address.uri)
        if folder is None:
            return address.uri
        if not (folder / "models").is_dir():
            raise InputError(
                f"{address.identity}: no registered models found: the folder {folder / 'models'} does not exist",
                hint="use the folder of an MLflow store, such as ./mlruns, or sqlite:///mlflow.db",
            )
        return folder.absolute().as_uri()

    def _list_all(self, read_page: Callable[[str | None], PagedList[_T]]) -> Iterator[_T]:
        """All items of a list. Raises OutsideError if the store fails."""
        token: str | None = None
        while True:
            page = self._call(functools.partial(read_page, token))
            if page is None:
                raise OutsideError(f"{self.identity}: the store has no such list")
            yield from page
            token = page.token
            if not token:
                return

    def _wait(self, what: str, function: Callable[[], _T], seconds: float) -> _T:
        """What the function returns. Raises OutsideError if it takes too long, alone or with all the calls before."""
        now = time.monotonic()
        self._end = min(self._end, now + _TOTAL)
        seconds = max(0.1, min(seconds, self._end - now))
        try:
            return self._worker.call(function, seconds)
        except TimeoutError:
            message = f"{self.identity}: waited {seconds:.0f} s in vain while the mlflow package {what}"
            raise OutsideError(message, hint="check that the database answers, then try again") from None

    def _call(self, function: Callable[[], _T]) -> _T | None:
        """Call the mlflow package in time; None if it says that the resource does not exist."""
        return self._wait("reads the store", functools.partial(self._ask, function), _CALL)

    def _ask(self, function: Callable[[], _T]) -> _T | None:
        from mlflow.exceptions import MlflowException

        self._make_default()
        try:
            return function()
        except MlflowException as error:
            if error.error_code == NOT_FOUND:
                return None
            raise RequestFailed(f"{self.identity}: {to_one_line(error.message)}", hint=_HINT) from error
        except ImportError:
            raise
        except Exception as error:  # with a damaged store, mlflow raises arbitrary exceptions
            reason = to_one_line(f"{type(error).__name__}: {error}")
            raise RequestFailed(f"{self.identity}: the mlflow package cannot read it: {reason}", hint=_HINT) from error

    def _make_default(self) -> None:
        """Make this store the default store of the mlflow package.

        A folder store reads details of a version from the default store (file_store.py in 3.17), which would be
        another one: MLFLOW_TRACKING_URI, or a new mlflow.db in the current folder.
        """
        import mlflow

        given = os.environ.get(_VARIABLE)
        mlflow.set_tracking_uri(self._uri)  # also sets the variable
        os.environ.pop(_VARIABLE, None)
        if given is not None:
            os.environ[_VARIABLE] = given

    def _read(self, version: ModelVersion) -> VersionFacts:
        client = self._client
        uri = self._call(lambda: client.get_model_version_download_uri(version.name, version.version))
        if uri is None:
            raise RequestFailed("the version does not exist in the registry any more")
        run = self._run(version.run_id)
        uri = self._resolve_run_uri(uri)
        files = model_files.read(functools.partial(self._read_file, uri))
        return make_facts(uri, None if run is None else _convert_run(run), files)

    def _run(self, run_id: str) -> MlflowRun | None:
        client = self._client
        if run_id and run_id not in self._runs:
            self._runs[run_id] = self._call(lambda: client.get_run(run_id))
        return self._runs.get(run_id)

    def _resolve_run_uri(self, uri: str) -> str:
        """The location of a `runs:/` URI, as `m2g.registry.facts_api` finds it on a server."""
        split = split_run_uri(uri)
        if split is None:
            return uri
        run_id, path = split
        run = self._run(run_id)
        if run is None or not path:
            raise RequestFailed(f"the registry cannot resolve {uri}: the run does not exist, or the URI has no path")
        name, _, rest = path.partition("/")
        outputs = getattr(run, "outputs", None)  # since MLflow 3
        get = self._client.get_logged_model
        found = [
            self._call(functools.partial(get, output.model_id)) for output in (outputs.model_outputs if outputs else ())
        ]
        models = (model for model in found if model is not None)
        for model in sorted(models, key=lambda model: (-model.creation_timestamp, model.model_id)):
            if model.name == name:
                return join_path(str(model.artifact_location), rest)
        return join_path(str(run.info.artifact_uri), path)

    def _read_file(self, uri: str, name: str) -> bytes | None:
        if uri.startswith("mlflow-artifacts:"):
            raise RequestFailed(
                f"only the MLflow server of this database can read {uri}: set registry.uri to that server"
            )
        folder = artifacts.find_local_path(uri)
        if folder is not None:
            return artifacts.read(folder, name)
        if self._distrust:
            error = OutsideError(f"{join_path(uri, name)} is not on this disk")
            raise RequestFailed(explain_distrust(self.identity, error, self._distrust).message)
        if uri.startswith(("http://", "https://")):
            return self._read_http(uri, name)
        if object_stores.is_known(uri):
            found: list[bytes | None] = []
            self._download(lambda: found.append(object_stores.read(uri, name, LIMITS[name])), uri, name)
            return found[0]
        if name == ENVIRONMENT:
            return self._list_file(uri, name)
        from mlflow.artifacts import download_artifacts

        with tempdirs.open_folder() as target:
            self._download(
                lambda: download_artifacts(artifact_uri=join_path(uri, name), dst_path=str(target)), uri, name
            )
            return artifacts.read(target, name)

    def _list_file(self, uri: str, name: str) -> bytes | None:
        """None if the folder does not have the file, which m2g does not download. Raises TooLarge if it has."""
        from mlflow.artifacts import list_artifacts

        listed: list[str] = []
        self._download(lambda: listed.extend(file.path for file in list_artifacts(artifact_uri=uri)), uri, name)
        if any(path.rpartition("/")[2] == name for path in listed):
            raise TooLarge(f"{join_path(uri, name)} is not downloaded", start=GZIP)
        return None

    def _download(self, function: Callable[[], object], uri: str, name: str) -> None:
        """Download in time. A store that did not answer once gets little time for the next versions."""
        store = _find_store(uri)
        place = join_path(uri, name)
        try:
            self._wait(f"reads {place}", function, _AFTER_FAILURE if store in self._slow else _DOWNLOAD)
        except RequestFailed:
            raise
        except OutsideError as error:
            self._slow.add(store)
            if time.monotonic() > self._end:
                raise
            raise RequestFailed(error.message, hint=f"check that {store} can be reached from here") from None
        except ImportError as error:
            text, hint = object_stores.explain_missing_package(place, error)
            raise RequestFailed(text, hint=hint) from error
        except Exception as error:  # every artifact store has its own exceptions
            raise RequestFailed(f"{place} cannot be read: {to_one_line(str(error))}") from error

    def _read_http(self, uri: str, name: str) -> bytes | None:
        """A file on a web server. The mlflow package would send it the MLflow server's credentials, whoever it is."""
        store, place = _find_store(uri), urlsplit(join_path(uri, name))
        distrust = "" if is_tracking_server(uri) else f"MLFLOW_TRACKING_URI does not name {store}"
        patience = _AFTER_FAILURE if store in self._slow else _HTTP
        try:
            with RestClient(parse_address(store), workspace="", patience=patience, distrust=distrust) as client:
                return client.get_file(Request(path=place.path, query=dict(parse_qsl(place.query)), limit=LIMITS[name]))
        except ErrorResponse as error:
            if error.status == 404:
                return None
            raise
        except M2gError as error:
            self._slow.add(store)
            raise RequestFailed(error.message, hint=error.hint) from error


def _find_store(uri: str) -> str:
    """Scheme and host, or bucket, of the URI of artifacts."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}"


def _convert_model(model: MlflowModel) -> RegisteredModel:
    aliases: Mapping[str, object] = model.aliases
    return make_model(model.name, {alias: str(version) for alias, version in aliases.items()}, model.tags)


def _convert_version(version: MlflowVersion) -> ModelVersion:
    return make_version(
        ModelVersion(
            name=version.name,
            version=str(version.version),
            source=version.source or "",
            created_at=int(version.creation_timestamp),
            run_id=version.run_id or "",
            status=str(version.status),
            stage=version.current_stage or "None",
            tags=version.tags,
        )
    )


def _convert_run(run: MlflowRun) -> Run:
    inputs = run.inputs.dataset_inputs if run.inputs else []
    plain = Run(
        id=run.info.run_id,
        experiment_id=str(run.info.experiment_id),
        metrics=dict(run.data.metrics),
        params=run.data.params,
        tags=run.data.tags,
    )
    return make_run(
        plain, ((one.dataset.name, one.dataset.digest, {tag.key: tag.value for tag in one.tags}) for one in inputs)
    )
