"""The images' own entry points, as their Dockerfiles say them, started in a real environment with a real model."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from m2g import mlmodel
from m2g.core import manifest
from m2g.core.config_types import Kserve
from m2g.core.model import Profile
from m2g.image import context
from m2g.rendering.kserve.batch import render_batch
from m2g.rendering.objects import ServedModel
from m2g.serving.batch_run import BatchRun
from m2g.serving.spec import Serving
from tests.support.fleet import release
from tests.support.images import SERVERS, TRAIN, Instructions, free_port, instructions, post, started

pytestmark = pytest.mark.slow


class Trained:
    """A model that MLflow saved as it does by default, its first row and the answer of pyfunc's library."""

    def __init__(self, folder: Path) -> None:
        python = str(SERVERS / "bin/python")
        done = subprocess.run([python, "-c", TRAIN, str(folder)], capture_output=True, text=True, check=True)
        row, answer = done.stdout.splitlines()[-2:]
        self.folder, self.row, self.answer = folder, [float(part) for part in row.split(",")], float(answer)
        self.mlmodel = mlmodel.parse((folder / "MLmodel").read_bytes())
        signature = self.mlmodel.signature
        assert signature is not None
        assert signature.inputs is not None
        self.names = [field.name for field in signature.inputs]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return Trained(tmp_path_factory.mktemp("model") / "model")


def recipe(trained: Trained, profile: Profile) -> Instructions:
    frozen = [str(SERVERS / "bin/python"), "-m", "pip", "freeze", "--disable-pip-version-check"]
    lock = subprocess.run(frozen, capture_output=True, text=True, check=True).stdout
    order = context.ContextSpec(
        slug="wine", release=release(mlmodel=trained.mlmodel), profile=profile, base="python:3.11-slim", lock=lock
    )
    return instructions(context.make_files(order)["Dockerfile"].decode())


def test_mlserver_serves_what_the_stock_runtime_cannot_load(trained: Trained, tmp_path: Path) -> None:
    made = recipe(trained, "mlserver-image")
    assert made.user == "1000:1000"
    ports = {name: str(free_port()) for name in ("HTTP", "GRPC", "METRICS")}
    moved = {f"MLSERVER_{name}_PORT": port for name, port in ports.items()}
    # What KServe and the ServingRuntime give: the model's name, and its files at the place that it mounts.
    given = {"MLSERVER_MODEL_NAME": "wine", "MLSERVER_MODEL_URI": str(trained.folder), "HOME": str(tmp_path)}
    assert made.env["MLSERVER_MODEL_URI"] == "/mnt/models"
    (tmp_path / "empty").mkdir()
    program, *rest = made.cmd
    command = [str(SERVERS / "bin" / program), *(part.replace("/opt/m2g", str(tmp_path / "empty")) for part in rest)]
    url = f"http://127.0.0.1:{ports['HTTP']}/v2/models/wine"
    with started(command, made.env | moved | given, tmp_path / "run", f"{url}/ready"):
        inputs = [
            {"name": name, "shape": [1, 1], "datatype": "FP64", "data": [value]}
            for name, value in zip(trained.names, trained.row, strict=True)
        ]
        answer = post(f"{url}/infer", {"inputs": inputs})
    assert isinstance(answer, dict)
    assert answer["outputs"][0]["data"] == pytest.approx([trained.answer])


def test_a_batch_is_what_the_job_would_run(trained: Trained, tmp_path: Path) -> None:
    settings = BatchRun(input="s3://b/rows", output="s3://b/done.json", content_type="csv")
    subject = ServedModel(
        model="wine", profile="mlflow-image", release=release(), batch_image="x", batch_model="/opt/ml/model"
    )
    job = render_batch("wine", subject, Serving(kserve=Kserve(), batch=settings))["batch.yaml"]
    command = manifest.get_at(job, "spec", "template", "spec", "containers", 0, "command")
    assert isinstance(command, list)
    rows = [",".join(trained.names), *[",".join(str(value) for value in trained.row)] * 2]
    given = tmp_path / "new rows.csv"
    given.write_text("\n".join(rows) + "\n")
    env = {
        "M2G_MODEL": str(trained.folder),
        "M2G_INPUT": str(given),
        "M2G_OUTPUT": f"{tmp_path}/done/predictions.json",
        "M2G_CONTENT_TYPE": "csv",
        "PATH": f"{SERVERS / 'bin'}:/usr/bin:/bin",
    }
    (tmp_path / "done").mkdir()
    done = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    answer = json.loads((tmp_path / "done/predictions.json").read_text())
    assert answer == {"predictions": [pytest.approx(trained.answer)] * 2}
    env["M2G_MODEL"] = str(tmp_path)
    env["M2G_OUTPUT"] = f"{tmp_path}/done/never.json"
    done = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert not (tmp_path / "done/never.json").exists()


def test_mlflow_serves_invocations_and_ping(trained: Trained, tmp_path: Path) -> None:
    made = recipe(trained, "mlflow-image")
    assert made.env["__pyfunc_model_path__"] == context.MODEL_DIR
    port = free_port()
    command = [part.replace("--port 8080", f"--port {port}").replace("0.0.0.0", "127.0.0.1") for part in made.cmd]
    given = {"__pyfunc_model_path__": str(trained.folder), "HOME": str(tmp_path)}
    given["PATH"] = f"{SERVERS / 'bin'}:/usr/bin:/bin"
    with started(command, made.env | given, tmp_path / "run", f"http://127.0.0.1:{port}/ping"):
        body = {"dataframe_split": {"columns": trained.names, "data": [trained.row]}}
        answer = post(f"http://127.0.0.1:{port}/invocations", body)
    assert answer == {"predictions": [pytest.approx(trained.answer)]}
