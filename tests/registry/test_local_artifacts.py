"""A database as registry whose artifacts are on web servers: none is waited for long, and none gets credentials."""

from __future__ import annotations

import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from m2g.core.model import VersionFacts
from m2g.registry import open_registry
from tests.attack.test_registry_host import sent
from tests.support.fake_server import Answer, Asked, fake, page
from tests.support.fleet import MLMODEL
from tests.support.machine import seconds
from tests.support.paths import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.attack, pytest.mark.timeout(300)]

FILL = """
import sys
from mlflow import MlflowClient
uri, *sources = sys.argv[1:]
client = MlflowClient(tracking_uri=uri, registry_uri=uri)
for number, source in enumerate(sources):
    client.create_registered_model(f"m{number}")
    client.create_model_version(f"m{number}", source)
"""


def facts(tmp_path: Path, *sources: str) -> list[VersionFacts]:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    subprocess.run([sys.executable, "-c", FILL, uri, *sources], cwd=tmp_path, check=True, capture_output=True)
    registry = open_registry(uri)
    return list(registry.read_facts(registry.list_versions()).values())


def test_artifacts_that_are_down_are_each_versions_problem_soon(tmp_path: Path) -> None:
    started = time.monotonic()
    found = facts(tmp_path, *(f"http://127.0.0.1:9/api/2.0/mlflow-artifacts/artifacts/{n}" for n in range(4)))
    assert time.monotonic() - started < seconds(90)
    assert all("http://127.0.0.1:9" in one.problem and "cannot connect" in one.problem for one in found)


def serve(asked: Asked) -> Answer:
    return Answer(body=MLMODEL) if asked.path.endswith("/MLmodel") else page(status=404)


def test_a_host_that_only_a_model_names_gets_no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".mlflow").mkdir()
    stored = "[mlflow]\nmlflow_tracking_username = ada\nmlflow_tracking_password = hush-token\n"
    (tmp_path / ".mlflow/credentials").write_text(stored)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "hush-token")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with fake(serve) as server:
        (one,) = facts(tmp_path, f"{server.url}/api/2.0/mlflow-artifacts/artifacts/1/model")
        assert one.files == {"MLmodel": MLMODEL}
        assert sent(server) == []
        assert not any("Authorization" in asked.headers for asked in server.asked)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
        monkeypatch.delenv("HOME")
        server.asked.clear()
        registry = open_registry(f"sqlite:///{tmp_path}/mlflow.db")
        registry.read_facts(registry.list_versions())
        assert all("Authorization" in asked.headers for asked in server.asked)


def test_a_web_server_that_redirects_or_wants_a_login_is_that_versions_problem(tmp_path: Path) -> None:
    with fake(lambda asked: Answer(status=302, headers={"Location": "http://127.0.0.1:9/x"})) as server:
        (one,) = facts(tmp_path, f"{server.url}/model")
    assert "redirects to http://127.0.0.1:9/x" in one.problem


@pytest.mark.parametrize(
    ("store", "module", "extra"),
    [
        ("s3://bucket/model", "botocore", "s3"),
        ("gs://bucket/model", "google", "gcs"),
        ("wasbs://box@account.blob.core.windows.net/model", "azure", "azure"),
    ],
)
def test_a_store_whose_package_is_missing_is_led_to_the_packages_of_its_extra(
    tmp_path: Path, store: str, module: str, extra: str
) -> None:
    (found,) = facts(tmp_path, store)
    assert f"No module named '{module}" in found.problem
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    packages = " ".join(f"'{package}'" for package in extras[extra])
    assert found.hint.startswith(f"python -m pip install {packages}, or ")
