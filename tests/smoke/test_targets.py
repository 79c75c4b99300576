"""`m2g smoke --env`, `--version`, `--from`: versions of a real MLflow server, in a rendered repository."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.machine import whole_seconds
from tests.support.mlflow_store import PYTHON3, Server
from tests.support.smoke_runs import SERVERS, smoke

pytestmark = pytest.mark.slow

OURS = (
    "--timeout",
    whole_seconds(120),
    "--venv",
    str(SERVERS),
    "--requests",
    "1",
    "--rest-only",
    "--format",
    "json",
)
CONFIG = """\
version: 1
registry: {{uri: "{uri}"}}
environments:
  dev: {{namespace: models-dev, follow: {{alias: challenger}}}}
  prod: {{namespace: models-prod, follow: {{alias: champion}}}}
storage: {{rewrites: [{{from: "mlflow-artifacts:/", to: "s3://models/"}}]}}
"""
REGISTER = """
import sys, mlflow, numpy, importlib.metadata
from sklearn.linear_model import LinearRegression
mlflow.set_tracking_uri(sys.argv[1])
client = mlflow.MlflowClient()
needs = [f"scikit-learn=={importlib.metadata.version('scikit-learn')}", f"mlflow=={mlflow.__version__}"]
for name, slopes in (("wine", (1.0, 2.0)), ("rose", (3.0,))):
    for slope in slopes:
        x = numpy.arange(6.0).reshape(2, 3)
        with mlflow.start_run():
            fitted = LinearRegression().fit(x, x[:, 0] * slope)
            signature = mlflow.models.infer_signature(x, fitted.predict(x))
            mlflow.sklearn.log_model(fitted, name="model", registered_model_name=name, signature=signature,
                input_example=x, pip_requirements=needs, serialization_format="cloudpickle")
    client.set_registered_model_alias(name, "champion", "1")
with mlflow.start_run():
    mlflow.sklearn.log_model(fitted, name="model", registered_model_name="cava", signature=signature,
        pip_requirements=needs)
client.set_registered_model_alias("cava", "champion", "1")
"""


class World:
    """The server, and the repository of what its aliases say: version 1 of two models in prod."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.root, self.uri = folder, server.url
        (folder / "m2g.yaml").write_text(CONFIG.format(uri=server.url))
        self.git("init", "--quiet")
        self.render()

    def git(self, *arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=self.root, check=True, capture_output=True)

    def render(self) -> None:
        done = subprocess.run(["m2g", "render"], cwd=self.root, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "rendered")

    def ask(self, *arguments: str) -> tuple[list[dict[str, Any]], int, str]:
        done = smoke(*arguments, *OURS, place=("-C", str(self.root)))
        return json.loads(done.stdout).get("tests", []), done.returncode, done.stderr


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("records")
    server = Server(PYTHON3).wait()
    command = [str(SERVERS / "bin/python"), "-c", REGISTER, server.url]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    yield World(folder, server)
    server.stop()


def said(tests: list[dict[str, Any]]) -> list[tuple[str, str, str, bool]]:
    return [(test["model"], test["version"], ",".join(test["environments"]), test["passed"]) for test in tests]


def test_the_version_of_the_record_is_downloaded_and_served(world: World) -> None:
    tests, code, talk = world.ask("wine", "--env", "prod")
    assert code == 0, (tests, talk)
    assert said(tests) == [("wine", "1", "prod", True)]
    assert tests[0]["answersVersion"] == "1"
    assert (tests[0]["profile"], tests[0]["packages"], tests[0]["runtime"]) == ("mlserver", "given", "kserve-mlserver")
    assert "downloading wine version 1 …" in talk


def test_another_version_is_asked_of_the_registry(world: World) -> None:
    tests, code, talk = world.ask("wine", "--env", "prod", "--version", "2")
    assert code == 0, (tests, talk)
    assert said(tests) == [("wine", "2", "prod", True)]
    assert tests[0]["answersVersion"] == "2"
    tests, code, talk = world.ask("wine", "--env", "prod", "--version", "99")
    assert code == 3
    assert "mlflow cannot download version 99 of 'wine'" in talk
    assert "Traceback" not in talk


def test_a_version_that_waits_for_an_image_is_served_before_it_has_a_record(world: World) -> None:
    assert not (world.root / "models/cava").exists()
    tests, code, talk = world.ask("cava", "--env", "prod")
    assert code == 0, (tests, talk)
    assert said(tests) == [("cava", "1", "prod", True)]
    assert tests[0]["profile"] == "mlserver-image"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("wine", "--env", "dev"), "wine has no release record in dev"),
        (("wine", "--env", "nowhere"), "nowhere"),
        (("port", "--env", "prod"), "no model 'port'"),
        ((), "a model is required"),
        (("--from", "no-such-file"), "m2g sync --resolve-only -o FILE"),
        (("--from", "m2g.yaml"), "is not a snapshot of m2g sync"),
    ],
)
def test_what_no_record_has_is_refused(world: World, arguments: tuple[str, ...], words: str) -> None:
    tests, code, talk = world.ask(*arguments)
    assert code == 2, (tests, talk)
    assert words in talk
    assert "Traceback" not in talk


def failures(file: Path) -> list[dict[str, Any]]:
    """What the file says of smoke tests; it has other findings, too."""
    return [one for one in json.loads(file.read_text())["findings"] if one["rule"] == "smoke-failed"]


def test_only_what_will_be_proposed_is_served_and_what_fails_is_in_the_file(world: World, tmp_path: Path) -> None:
    file = tmp_path / "snapshot.json"
    resolve = ["m2g", "sync", "--resolve-only", "-o", str(file)]
    subprocess.run(resolve, cwd=world.root, check=True, capture_output=True)
    done = smoke("--from", str(file), place=("-C", str(world.root)))
    assert (done.stdout, done.returncode) == ("nothing to test: no model has changed\n", 0)
    alias = "import sys, mlflow; mlflow.MlflowClient(sys.argv[1]).set_registered_model_alias('wine', 'champion', '2')"
    subprocess.run([sys.executable, "-c", alias, world.uri], check=True, capture_output=True)
    subprocess.run(resolve, cwd=world.root, check=True, capture_output=True)
    tests, code, talk = world.ask("--from", str(file))
    assert code == 0, (tests, talk)
    assert said(tests) == [("wine", "2", "prod", True)]
    assert failures(file) == []

    done = smoke("--from", str(file), "--venv", str(tmp_path), place=("-C", str(world.root)))
    assert done.returncode != 0
    (finding,) = failures(file)
    assert (finding["model"], finding["environment"]) == ("wine", "prod")
    assert finding["message"].startswith("m2g smoke: wine version 2 failed: ")
    remote = tmp_path / "remote.git"
    world.git("clone", "--quiet", "--bare", str(world.root), str(remote))
    world.git("remote", "add", "origin", str(remote))
    sync = ["m2g", "sync", "--from", str(file)]
    proposed = subprocess.run(sync, cwd=world.root, capture_output=True, text=True, check=False)
    assert proposed.returncode == 1, "the run fails, after it proposed what failed, too"
    assert "+ create m2g/prod/wine" in proposed.stdout
    assert "m2g smoke: wine version 2 failed" in " ".join(proposed.stderr.split())
