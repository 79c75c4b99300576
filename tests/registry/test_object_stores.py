"""Files in S3 that the MLflow server does not give: m2g reads them itself, and only where m2g.yaml allows models."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest

from tests.support.fleet import MLMODEL
from tests.support.machine import seconds
from tests.support.mlflow_store import PYTHON3, Server
from tests.support.stores import read_facts, s3_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
FILES = {
    "models/wine/MLmodel": MLMODEL.decode(),
    "models/wine/requirements.txt": "mlflow==2.19.0\n",
    "models/empty/MLmodel": "",
    "models/large/MLmodel": "#" * (3 << 20),
    "private/secret/MLmodel": MLMODEL.decode(),
}
SOURCES = {
    "wine": "s3://models/wine",
    "empty": "s3://models/empty",
    "large": "s3://models/large",
    "lost": "s3://models/lost",
    "secret": "s3://private/secret",
}
KEYS = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_DEFAULT_REGION": "us-east-1"}
_REGISTER = """
import sys
from mlflow import MlflowClient
client = MlflowClient(tracking_uri=sys.argv[1], registry_uri=sys.argv[1])
for text in sys.argv[2:]:
    name, _, source = text.partition("=")
    client.create_registered_model(name)
    client.create_model_version(name, source)
"""


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("s3") / "log"


@pytest.fixture(scope="module")
def bucket(log: Path) -> Iterator[str]:
    with s3_server(FILES, log) as url:
        yield url


@pytest.fixture(scope="module", params=["a server without access to the bucket", "a database"])
def registry(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """MLflow has no boto3 here, so its server gives no file of a bucket."""
    sources = [f"{name}={source}" for name, source in SOURCES.items()]
    if request.param == "a database":
        uri = f"sqlite:///{tmp_path_factory.mktemp('database')}/mlflow.db"
        subprocess.run([sys.executable, "-c", _REGISTER, uri, *sources], check=True, capture_output=True)
        yield uri
        return
    server = Server(PYTHON3, "--no-serve-artifacts").wait()
    client = mlflow.MlflowClient(tracking_uri=server.url, registry_uri=server.url)
    for name, source in SOURCES.items():
        client.create_registered_model(name)
        client.create_model_version(name, source)
    yield server.url
    server.stop()


def at(url: str) -> dict[str, str]:
    return {"MLFLOW_S3_ENDPOINT_URL": url, **KEYS}


def config(registry: str, allow: tuple[str, ...] = ("s3://models/",)) -> dict[str, object]:
    return {
        "version": 1,
        "registry": {"uri": registry},
        "storage": {"allow": list(allow)},
        "environments": {"prod": {"namespace": "models-prod"}},
    }


def test_m2g_reads_the_bucket_itself(registry: str, bucket: str, tmp_path: Path) -> None:
    facts = read_facts(config(registry), tmp_path, at(bucket))
    assert facts["wine"] == (["MLmodel", "requirements.txt"], "", "")
    assert "larger than 1024 KiB" in facts["large"][1]
    assert facts["lost"][0] == []
    assert all(not files for name, (files, _, _) in facts.items() if name not in ("wine", "secret", "empty"))


@pytest.mark.attack
def test_a_bucket_that_no_environment_allows_is_not_asked(bucket: str, log: Path, tmp_path: Path) -> None:
    """An author names a bucket that m2g may read and nobody else."""
    server = Server(PYTHON3, "--no-serve-artifacts").wait()
    try:
        client = mlflow.MlflowClient(tracking_uri=server.url, registry_uri=server.url)
        client.create_registered_model("secret")
        client.create_model_version("secret", SOURCES["secret"])
        asked = log.read_text().count("/private/secret")
        settings = config(server.url)
        facts = read_facts(settings, tmp_path, at(bucket))
        assert facts["secret"][0] == []
        assert facts["secret"][1]
        assert log.read_text().count("/private/secret") == asked
        opened = config(server.url, ("s3://models/", "s3://private/"))
        assert read_facts(opened, tmp_path, at(bucket))["secret"][0] == ["MLmodel"]
    finally:
        server.stop()


def test_each_cause_has_its_hint(registry: str, bucket: str, tmp_path: Path) -> None:
    allowed = config(registry)
    without = read_facts(allowed, tmp_path, at(bucket), packages=False)["wine"]
    assert "No module named 'botocore'" in without[1]
    assert without[2].startswith("python -m pip install 'boto3>=1.34,<2', or ")
    anonymous = read_facts(allowed, tmp_path, {"MLFLOW_S3_ENDPOINT_URL": bucket})["wine"]
    assert "NoCredentialsError" in anonymous[1]
    assert "give m2g read access to the store" in anonymous[2]
    started = time.monotonic()
    down = read_facts(allowed, tmp_path, at("http://127.0.0.1:9"))["wine"]
    assert "127.0.0.1:9" in down[1]
    assert time.monotonic() - started < seconds(90)
