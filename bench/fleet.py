"""Create a fleet of registered models on a real MLflow server: rows in MLflow's own tables, and the MLmodel files.

`mlflow.register_model` takes 50 ms for each version. For 20,000 versions that would take longer than the whole bench.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import sqlalchemy
from mlflow.store.model_registry.dbmodels import models as registry
from mlflow.store.tracking.dbmodels import models as tracking

from m2g.core.model import ModelVersion, Run, VersionFacts
from m2g.core.naming import slugify
from m2g.repository import layout

VERSIONS = 2
ENVIRONMENTS = ("dev", "staging", "prod")
ALIASES = {"challenger": "2", "candidate": "2", "champion": "1"}
"""The aliases that dev, staging and prod follow → their versions."""
CREATED = 1_790_000_000_000
"""A constant in milliseconds, so that two runs create the same fleet."""
BUCKET = "s3://models"
COLUMNS = ("alcohol", "malic_acid", "ash", "magnesium", "flavanoids", "hue", "proline")
METRICS = ("auc", "f1", "loss")
_ROWS = 2000

MLMODEL = """\
artifact_path: mlflow-artifacts:/1/models/{id}/artifacts
env: {{conda: conda.yaml, virtualenv: python_env.yaml}}
flavors:
  python_function:
    env: {{conda: conda.yaml, virtualenv: python_env.yaml}}
    loader_module: mlflow.sklearn
    model_path: model.pkl
    predict_fn: predict
    python_version: 3.10.13
  sklearn:
    code: null
    pickled_model: model.pkl
    serialization_format: cloudpickle
    sklearn_version: 1.5.2
mlflow_version: 2.19.0
model_id: {id}
model_size_bytes: 48123
model_uuid: {id}
run_id: {run}
saved_input_example_info:
  artifact_path: input_example.json
  pandas_orient: split
  serving_input_path: serving_input_example.json
  type: dataframe
signature:
  inputs: '{inputs}'
  outputs: '[{{"type": "tensor", "tensor-spec": {{"dtype": "float64", "shape": [-1]}}}}]'
  params: null
utc_time_created: '2026-09-20 12:00:00.000000'
"""
REQUIREMENTS = "mlflow==2.19.0\ncloudpickle==3.1.0\nnumpy==1.26.4\npandas==2.2.3\nscikit-learn==1.5.2\ntqdm==4.{}\n"
EXAMPLE = (13.2, 1.78, 2.14, 100.0, 2.76, 1.05, 1050.0)


def model_name(index: int) -> str:
    """The name of the registered model with this number."""
    return f"Fraud detector {index:05d}"


def fill(database: str, artifacts: Path, size: int) -> None:
    """Register `size` models with their versions, aliases, tags, runs and files.

    `database` is the SQLAlchemy URL of a store that MLflow created; `artifacts` is the server's artifacts destination.
    """
    engine = sqlalchemy.create_engine(database)
    with engine.begin() as connection:
        for table, rows in _tables(size):
            for start in range(0, len(rows), _ROWS):
                connection.execute(sqlalchemy.insert(table), rows[start : start + _ROWS])
    engine.dispose()
    for index in range(size):
        for version in range(1, VERSIONS + 1):
            folder = artifacts / f"1/models/{_id(index, version)}/artifacts"
            folder.mkdir(parents=True)
            for file, content in _files(index, version).items():
                (folder / file).write_text(content)


def _files(index: int, version: int) -> dict[str, str]:
    """The logged files. Columns, example and requirements differ between models, as in real fleets."""
    columns = [f"{column}_{index}" for column in COLUMNS]
    inputs = json.dumps([{"type": "double", "name": column, "required": True} for column in columns])
    data = [[value + index + version / 10 for value in EXAMPLE]]
    return {
        "MLmodel": MLMODEL.format(id=_id(index, version), run=_run(index, version), inputs=inputs),
        "requirements.txt": REQUIREMENTS.format(index % 100),
        "serving_input_example.json": json.dumps({"dataframe_split": {"columns": columns, "data": data}}),
    }


def check_empty(database: str) -> None:
    """Raise ValueError if the database has tables: the bench drops all tables in the end."""
    engine = sqlalchemy.create_engine(database)
    tables = sqlalchemy.inspect(engine).get_table_names()
    engine.dispose()
    if tables:
        raise ValueError(f"the database has {len(tables)} tables; use an empty database")


def drop_tables(database: str) -> None:
    """Drop the tables that the server created."""
    engine = sqlalchemy.create_engine(database)
    made = sqlalchemy.MetaData()
    made.reflect(engine)
    made.drop_all(engine)
    engine.dispose()


def make_version(index: int, version: int) -> ModelVersion:
    """A version in the form of the registry's listing."""
    return ModelVersion(
        name=model_name(index),
        version=str(version),
        source=f"models:/{_id(index, version)}",
        created_at=CREATED,
        run_id=_run(index, version),
        tags={"validated": "true"},
    )


def make_facts(index: int, version: int) -> VersionFacts:
    """The facts of a version. In a large fleet, reading 20,000 versions from the server would take too long."""
    return VersionFacts(
        artifact_uri=f"mlflow-artifacts:/1/models/{_id(index, version)}/artifacts",
        run=Run(
            id=_run(index, version),
            experiment_id="1",
            metrics={key: float(str(_metric(index, version, key)["value"])) for key in METRICS},
            params={"alpha": f"0.{version}"},
        ),
        files={file: content.encode() for file, content in _files(index, version).items()},
    )


def list_settings(size: int) -> Iterator[tuple[str, str]]:
    """(path, text) of the model.yaml of every tenth model."""
    for index in range(0, size, 10):
        path = layout.model_yaml(slugify(model_name(index)))
        yield path, f"settings: {{minReplicas: {index % 3 + 1}, maxReplicas: 4}}\n"


def make_config(uri: str) -> str:
    """The text of m2g.yaml for the fleet."""
    environments = "\n".join(
        f"  {environment}: {{namespace: models-{environment}, follow: {{alias: {alias}}}}}"
        for environment, alias in zip(ENVIRONMENTS, ALIASES, strict=True)
    )
    return (
        f"version: 1\nregistry: {{uri: {json.dumps(uri)}}}\nenvironments:\n{environments}\n"
        f'storage: {{rewrites: [{{from: "mlflow-artifacts:/", to: "{BUCKET}/"}}]}}\nsync: {{argocd: {{}}}}\n'
    )


def _id(index: int, version: int) -> str:
    return f"m-{index:05d}{version:027d}"


def _run(index: int, version: int) -> str:
    return f"{index:05d}{version:027d}"


def _tables(size: int) -> Iterator[tuple[sqlalchemy.Table, list[Mapping[str, object]]]]:
    """Each of MLflow's tables with its rows, referenced tables first."""
    pairs = [(index, version) for index in range(size) for version in range(1, VERSIONS + 1)]
    place = {"workspace": "default"}
    at = {"creation_time": CREATED, "last_updated_time": CREATED}
    yield (
        tracking.SqlExperiment.__table__,
        [
            {
                **place,
                "experiment_id": 1,
                "name": "bench",
                "artifact_location": "mlflow-artifacts:/1",
                "lifecycle_stage": "active",
                "creation_time": CREATED,
                "last_update_time": CREATED,
            }
        ],
    )
    yield tracking.SqlRun.__table__, [_run_row(*pair) for pair in pairs]
    yield tracking.SqlLatestMetric.__table__, [_metric(*pair, key) for pair in pairs for key in METRICS]
    yield (
        tracking.SqlParam.__table__,
        [{"key": "alpha", "value": f"0.{version}", "run_uuid": _run(index, version)} for index, version in pairs],
    )
    yield tracking.SqlLoggedModel.__table__, [_logged(*pair) for pair in pairs]
    yield registry.SqlRegisteredModel.__table__, [{**place, **at, "name": model_name(index)} for index in range(size)]
    yield (
        registry.SqlRegisteredModelTag.__table__,
        [{**place, "name": model_name(index), "key": "team", "value": f"team-{index % 7}"} for index in range(size)],
    )
    yield registry.SqlModelVersion.__table__, [{**place, **at, **_version(*pair)} for pair in pairs]
    yield (
        registry.SqlModelVersionTag.__table__,
        [
            {**place, "name": model_name(index), "version": version, "key": "validated", "value": "true"}
            for index, version in pairs
        ],
    )
    yield (
        registry.SqlRegisteredModelAlias.__table__,
        [
            {**place, "name": model_name(index), "alias": alias, "version": int(version)}
            for index in range(size)
            for alias, version in ALIASES.items()
        ],
    )


def _run_row(index: int, version: int) -> Mapping[str, object]:
    return {
        "run_uuid": _run(index, version),
        "name": f"run-{version}",
        "source_type": "LOCAL",
        "source_name": "train.py",
        "user_id": "ada",
        "status": "FINISHED",
        "start_time": CREATED,
        "end_time": CREATED + 60_000,
        "lifecycle_stage": "active",
        "artifact_uri": f"mlflow-artifacts:/1/{_run(index, version)}/artifacts",
        "experiment_id": 1,
    }


def _metric(index: int, version: int, key: str) -> Mapping[str, object]:
    value = 0.5 + (index * 31 + version * 7) % 400 / 1000
    run = _run(index, version)
    return {"key": key, "value": value, "timestamp": CREATED, "step": 0, "is_nan": False, "run_uuid": run}


def _logged(index: int, version: int) -> Mapping[str, object]:
    return {
        "model_id": _id(index, version),
        "experiment_id": 1,
        "name": "model",
        "artifact_location": f"mlflow-artifacts:/1/models/{_id(index, version)}/artifacts",
        "creation_timestamp_ms": CREATED,
        "last_updated_timestamp_ms": CREATED,
        "status": 2,
        "lifecycle_stage": "active",
        "source_run_id": _run(index, version),
    }


def _version(index: int, version: int) -> Mapping[str, object]:
    return {
        "name": model_name(index),
        "version": version,
        "source": f"models:/{_id(index, version)}",
        "storage_location": f"mlflow-artifacts:/1/models/{_id(index, version)}/artifacts",
        "run_id": _run(index, version),
        "current_stage": "None",
        "status": "READY",
    }
