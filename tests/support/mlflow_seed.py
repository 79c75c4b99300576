"""Fill MLflow stores with the content that tests/registry expects; runs under MLflow 2.22 and 3.x alike.

    python mlflow_seed.py (<tracking URI> <folder for artifacts>)… < names.json

The first experiment keeps its artifacts where the store says (behind a server's proxy, say), others in the folder.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import warnings
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.data.numpy_dataset import from_numpy
from mlflow.models import infer_signature
from mlflow.pyfunc.model import PythonModel
from sklearn.linear_model import LinearRegression


class First(PythonModel):
    """Answers its first column."""

    def predict(self, context: object, model_input: pd.DataFrame, params: object = None) -> object:
        return model_input.iloc[:, 0].to_numpy()


def log_wine(slope: float) -> str:
    """One run with a model, metrics, params, tags and a data set; returns the model's URI."""
    x = np.arange(26, dtype=np.float64).reshape(2, 13)
    y = x[:, 0] * slope
    with mlflow.start_run():
        mlflow.log_params({"alpha": slope, "name": "elastic"})
        mlflow.log_metrics({"rmse": slope / 4, "r2": 0.1 + 0.2})
        mlflow.set_tags({"mlflow.source.git.commit": "0123abc", "note": "first line\nsecond: line"})
        mlflow.log_input(from_numpy(x, name="wine", digest="d1"), context="training")
        fitted = LinearRegression().fit(x, y)
        logged = mlflow.sklearn.log_model(
            fitted,
            artifact_path="model",
            signature=infer_signature(x, fitted.predict(x)),
            input_example=x,
            pip_requirements=["scikit-learn<99"],
        )
        mlflow.log_metric("broken", float("nan"))  # at last: MLflow 3.4 cannot link it to the logged model
    return str(logged.model_uri)


def wine(client: MlflowClient) -> None:
    """Two versions, aliases, tags on both levels."""
    for slope in (1.0, 2.0):
        mlflow.register_model(log_wine(slope), "wine-quality")
    client.set_registered_model_alias("wine-quality", "champion", "1")
    client.set_registered_model_alias("wine-quality", "challenger", "2")
    client.set_registered_model_tag("wine-quality", "team", "cellar")
    client.set_model_version_tag("wine-quality", "1", "m2g.dev/min-replicas", "2")
    client.set_model_version_tag("wine-quality", "1", "empty", "")


def fraud(client: MlflowClient) -> None:
    """A data frame signature, a stage instead of an alias, and a `runs:/` source as REST clients register it."""
    frame = pd.DataFrame({"amount": [1.0, 2.0], "country": ["de", "at"], "n": np.array([1, 2], dtype=np.int64)})
    with mlflow.start_run() as run:
        mlflow.log_metric("auc", 1)
        mlflow.pyfunc.log_model(
            artifact_path="model",
            python_model=First(),
            signature=infer_signature(frame, frame["amount"].to_numpy(), params={"limit": 3}),
            pip_requirements=[],
        )
    client.create_registered_model("fraud")
    client.create_model_version("fraud", f"runs:/{run.info.run_id}/model", run_id=run.info.run_id)
    client.transition_model_version_stage("fraud", "1", "Production")


def odd(client: MlflowClient, uri: str) -> None:
    """Versions without MLmodel and outside MLflow's reach; a model without versions; a prompt."""
    with mlflow.start_run() as run:
        mlflow.log_text("not a model", "notes/a.txt")
    client.create_registered_model("notes")
    client.create_model_version("notes", f"{run.info.artifact_uri}/notes", run_id=run.info.run_id)
    client.create_registered_model("elsewhere")
    client.create_model_version("elsewhere", "s3://no-such-bucket-of-ours/model")
    client.create_registered_model("empty", tags={"why": "nothing yet", "long": "x" * 4000})
    prompts = getattr(mlflow, "genai", None) or mlflow
    if not uri.startswith("file:") and hasattr(prompts, "register_prompt"):  # since MLflow 2.21
        prompts.register_prompt("greeting", "Hello {{name}}")


def weird(client: MlflowClient, names: list[str]) -> None:
    """Names that break careless code; each has one version, all with the artifacts of the first wine."""
    wine_1 = client.get_model_version("wine-quality", "1")
    source, run_id = str(wine_1.source), str(wine_1.run_id)
    for name in names:
        client.create_registered_model(name)
        if source.startswith("models:/m-"):
            client.create_model_version(name, source, run_id=run_id, model_id=source.removeprefix("models:/"))
        else:
            client.create_model_version(name, source, run_id=run_id)
        client.set_registered_model_alias(name, "champion", "1")


def outside(folder: Path) -> None:
    """Artifacts outside the proxy: a model that is whole, and one whose files were deleted after it was registered."""
    for name in ("direct", "gone"):
        mlflow.set_experiment(experiment_id=mlflow.create_experiment(name, artifact_location=(folder / name).as_uri()))
        mlflow.register_model(log_wine(3.0), name)
    shutil.rmtree(folder / "gone")


def fill(uri: str, folder: Path, names: list[str]) -> None:
    """Fill one empty store."""
    os.chdir(folder.parent)  # a database keeps its artifacts in ./mlruns
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment(experiment_id="0")
    client = MlflowClient()
    wine(client)
    fraud(client)
    odd(client, uri)
    weird(client, [name for name in names if "%" not in name or not uri.startswith("file:")])
    outside(folder)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    given = json.load(sys.stdin)
    for store, place in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        fill(store, Path(place), given)
