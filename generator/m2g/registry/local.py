"""A registry without a server: a database or a folder, read by the mlflow package. Only this module imports mlflow."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from m2g.core import tempdirs
from m2g.core.errors import InputError, OutsideError
from m2g.core.model import ModelVersion, RegisteredModel, Run, VersionFacts
from m2g.registry import Progress, artifacts, model_files
from m2g.registry.address import Address, StoreKind
from m2g.registry.database import Snapshot, check_schema
from m2g.registry.errors import NOT_FOUND, RequestFailed, to_one_line
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

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun
    from mlflow.entities.model_registry import ModelVersion as MlflowVersion
    from mlflow.entities.model_registry import RegisteredModel as MlflowModel
    from mlflow.store.entities import PagedList

_PAGE = 1000
_HINT = "check that the store is complete; if a newer MLflow wrote it, upgrade the installed mlflow package"
_VARIABLE = "MLFLOW_TRACKING_URI"
_T = TypeVar("_T")


class LocalRegistry:
    """Implements `m2g.registry.Registry`. It writes nothing: a SQLite database is copied first, others are checked.

    The mlflow package would migrate the tables of an older MLflow in place, while a server uses them.
    """

    def __init__(self, address: Address, *, progress: Progress) -> None:
        self._address = address
        self._progress = progress
        self._runs: dict[str, MlflowRun | None] = {}
        self._snapshot: Snapshot | None = None
        self._uri = address.uri

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
                facts[version.name, version.version] = VersionFacts(problem=error.message)
            self._progress("facts of versions", done, len(versions))
        return facts

    @functools.cached_property
    def _client(self) -> MlflowClient:
        self._uri = self._prepare_store()
        self._progress("the mlflow package", 0, 0)
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # 3.x needs this for folder stores
        try:
            return self._open()
        except ImportError as error:
            raise InputError(
                f"{self.identity} is a local store, but the mlflow package is not installed ({error.name})",
                hint="pip install 'm2g[local]', or set registry.uri to an MLflow server",
            ) from error

    def _open(self) -> MlflowClient:
        import mlflow
        from mlflow import MlflowClient

        logging.getLogger("alembic").setLevel(logging.ERROR)
        if self._address.kind is StoreKind.DATABASE:
            check_schema(self._address, Path(mlflow.__file__).parent / "store/db_migrations")
        client = self._call(lambda: MlflowClient(tracking_uri=self._uri, registry_uri=self._uri))
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

    def _call(self, function: Callable[[], _T]) -> _T | None:
        """Call the mlflow package; None if it says that the resource does not exist."""
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
        from mlflow.artifacts import download_artifacts

        with tempdirs.open_folder() as target:
            try:
                download_artifacts(artifact_uri=join_path(uri, name), dst_path=str(target))
            except Exception as error:  # every artifact store has its own exceptions
                raise RequestFailed(f"{join_path(uri, name)} cannot be read: {to_one_line(str(error))}") from error
            return artifacts.read(target, name)


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
