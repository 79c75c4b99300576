"""A version whose files are on a server of its author: MLflow would go there, with the registry's credentials."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import pytest

from m2g.core.errors import InputError, OutsideError
from m2g.registry.download import ModelDownload, download_version
from tests.support.fake_server import Answer, Asked, Fake, fake, good
from tests.support.mlflow_store import PYTHON2, PYTHON3, Server

pytestmark = pytest.mark.attack

REFUSED = "and MLflow would go there with the credentials"


@pytest.fixture
def evil(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Fake]:
    """It says that it has an MLmodel, whatever it is asked for."""
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "hush-token")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    files = {"files": [{"path": "MLmodel", "is_dir": False, "file_size": 2}]}
    with fake(lambda asked: Answer(body=b"{}") if asked.path.endswith("MLmodel") else good(files)) as server:
        yield server


def host(server: Fake | Server) -> str:
    return server.url.removeprefix("http://")


def download(name: str, uri: str, root: Path) -> Path:
    (root / "to").mkdir()
    return download_version(ModelDownload(name=name, number="1"), uri, root / "to", root=root)


def register(uri: str, name: str, source: str, through: str) -> None:
    """Version 1 of a model whose files are at `source`: as it says itself, or by its run or its logged model."""
    client = mlflow.MlflowClient(uri)
    client.create_registered_model(name)
    if through == "version":
        client.create_model_version(name, source)
        return
    experiment = client.create_experiment(name, artifact_location=source)
    run = client.create_run(experiment).info.run_id
    if through == "run":
        client.create_model_version(name, f"runs:/{run}/model", run)
    else:
        logged = client.create_logged_model(experiment, name="model", source_run_id=run)
        client.create_model_version(name, f"models:/{logged.model_id}", run, model_id=logged.model_id)


SERVERS = {"2": (PYTHON2, ("version", "run")), "3": (PYTHON3, ("run", "logged model"))}


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize(("python", "ways"), SERVERS.values(), ids=SERVERS)
def test_a_real_server_that_takes_any_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, evil: Fake, python: Path, ways: tuple[str, ...]
) -> None:
    """What is on the registry itself is downloaded. Without the check, the other server is asked, with the token."""
    monkeypatch.setenv("MLFLOW_ALLOWED_HOST_ADDRESSED_ARTIFACT_SCHEMES", "http,https,mlflow-artifacts")
    server = Server(python).wait()
    try:
        for place in (f"http://{host(evil)}/files", f"mlflow-artifacts://{host(evil)}/files"):
            for way in ways:
                name = f"{way} {place.partition(':')[0]}"
                register(server.url, name, place, way)
                (tmp_path / name).mkdir()
                with pytest.raises(InputError, match=f"at {place}.*, {REFUSED} for {server.url}"):
                    download(name, server.url, tmp_path / name)
        assert evil.asked == []
        client = mlflow.MlflowClient(server.url)
        run = client.create_run("0").info.run_id
        client.log_text(run, "flavors: {}\n", "model/MLmodel")
        client.create_registered_model("honest")
        client.create_model_version("honest", f"{client.get_run(run).info.artifact_uri}/model", run)
        assert (download("honest", server.url, tmp_path) / "MLmodel").read_text() == "flavors: {}\n"
    finally:
        server.stop()


ELSEWHERE: dict[str, Callable[[str, str], str]] = {
    "a user of our name": lambda ours, evil: f"http://{ours}@{evil}/x",
    "a user for some parsers, a host for others": lambda ours, evil: f"http://{evil}\\@{ours}/x",
    "an empty host": lambda ours, evil: f"http:///{evil}/x",
    "capital letters": lambda ours, evil: f"HTTP://{evil}/x",
    "a space before it": lambda ours, evil: f" http://{evil}/x",
    "another port": lambda ours, evil: "http://127.0.0.1:9/x",
    "another name of the same machine": lambda ours, evil: f"http://localhost:{ours.partition(':')[2]}/x",
    "another protocol": lambda ours, evil: f"https://{ours}/x",
    "no address": lambda ours, evil: "http://[x",
    "a server of artifacts": lambda ours, evil: f"mlflow-artifacts://{ours}@{evil}/x",
    "another version": lambda ours, evil: "models:/other/1",
    "a logged model": lambda ours, evil: "models:/m-0123",
    "ftp": lambda ours, evil: f"ftp://{evil}/x",
    "sftp": lambda ours, evil: f"sftp://{evil}/x",
    "hdfs": lambda ours, evil: f"hdfs://{evil}/x",
    "a bucket with a host": lambda ours, evil: f"r2://bucket@{evil}/x",
    "the metadata of a cloud": lambda ours, evil: "http://169.254.169.254/latest/meta-data",
}


@pytest.mark.parametrize("place", ELSEWHERE.values(), ids=ELSEWHERE)
def test_addresses_that_are_elsewhere(tmp_path: Path, evil: Fake, place: Callable[[str, str], str]) -> None:
    said: list[str] = []
    with fake(lambda asked: good({"artifact_uri": said[0]})) as server:
        said.append(place(host(server), host(evil)))
        with pytest.raises(InputError, match=REFUSED):
            download("wine", server.url, tmp_path)
        assert [asked.path.rpartition("/")[2] for asked in server.asked] == ["get-download-uri"]
    assert evil.asked == []


def test_an_answer_that_changes_after_the_check_leads_nowhere(tmp_path: Path, evil: Fake) -> None:
    """What was checked is what is downloaded: the author may create the version again in between."""
    answers = iter(["mlflow-artifacts:/1/m"])

    def answer(asked: Asked) -> Answer:
        if asked.path.endswith("get-download-uri"):
            return good({"artifact_uri": next(answers, f"{evil.url}/api/2.0/mlflow-artifacts/artifacts/steal")})
        if "mlflow-artifacts" in asked.path and asked.path.endswith("MLmodel"):
            return Answer(body=b"flavors: {}\n")
        return good({"files": [{"path": "MLmodel", "is_dir": False, "file_size": 12}]})

    with fake(answer) as server:
        assert (download("wine", server.url, tmp_path) / "MLmodel").read_text() == "flavors: {}\n"
    assert evil.asked == []


def test_a_version_that_the_registry_does_not_explain_is_not_downloaded(tmp_path: Path, evil: Fake) -> None:
    with fake(lambda asked: good({})) as server, pytest.raises(OutsideError, match="cannot download version 1") as said:
        download("wine", server.url, tmp_path)
    assert said.value.hint
