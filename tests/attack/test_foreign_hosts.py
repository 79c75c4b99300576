"""A version whose files are elsewhere: on another server, on this disk, in a bucket that m2g.yaml does not allow."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from m2g.core.config_types import Rewrite
from m2g.core.errors import InputError
from m2g.core.model import Mlmodel
from m2g.core.process import accept_signals
from m2g.core.redact import redact
from m2g.core.results import SmokeTest, Walls
from m2g.registry.download import ModelDownload, download_version, find_place
from m2g.repository.trusted_registry import ChosenRegistry
from m2g.serving.storage_uri import to_cluster_uri
from m2g.smoke.stages import ServeOptions, StagePlan, Trial, start_stage
from m2g.smoke.targets import Target
from tests.support.fake_server import Answer, fake, good
from tests.support.fleet import CONFIG, FakeRegistry, model, repository, run, tree

pytestmark = pytest.mark.attack

OURS = "http://mlflow.test"
REWRITE = Rewrite(from_="mlflow-artifacts:/", to="s3://mlflow/root")
STORAGE = 'storage: {rewrites: [{from: "mlflow-artifacts:/", to: "s3://mlflow/"}], allow: ["s3://mlflow/"]}\n'
IMAGE = "settings: {profile: mlflow-image, image: ghcr.io/acme/wine@sha256:" + "5f" * 32 + "}\n"

ELSEWHERE = [
    "mlflow-artifacts://evil.example/1/m",
    "mlflow-artifacts://mlflow.test.evil.example/1/m",
    "mlflow-artifacts://mlflow.test@evil.example/1/m",
    "mlflow-artifacts://mlflow.test:5000/1/m",
    "mlflow-artifacts://mlflow.test:443/1/m",
    "mlflow-artifacts://MLFLOW.test/1/m",
    "mlflow-artifacts://evil.example//1/m",
    "MLflow-Artifacts://evil.example/1/m",
]


@pytest.mark.parametrize("uri", ELSEWHERE)
def test_another_server_is_not_this_store(uri: str) -> None:
    ours = Rewrite(from_="mlflow-artifacts://mlflow.test/", to="s3://mlflow/root")
    for rewrites in ((REWRITE,), (ours,), ()):
        with pytest.raises(InputError, match="on another server than the registry"):
            to_cluster_uri(uri, rewrites, ("s3://mlflow/",), OURS)


@pytest.mark.parametrize("uri", ELSEWHERE)
def test_a_person_may_say_that_both_are_one_server(uri: str) -> None:
    with pytest.raises(InputError, match="on another server than the registry") as raised:
        to_cluster_uri(uri, (REWRITE,), (), OURS)
    host = uri.partition("//")[2].partition("/")[0]
    assert f'from: "mlflow-artifacts://{redact(f"x://{host}")[4:]}/"' in raised.value.hint
    known = Rewrite(from_=f"mlflow-artifacts://{host}/", to="s3://mlflow/root")
    assert to_cluster_uri(uri, (REWRITE, known), (), OURS) == "s3://mlflow/root/1/m/"


@pytest.mark.parametrize(
    ("server", "uri"),
    [
        (OURS, "mlflow-artifacts:/1/m"),
        (OURS, "mlflow-artifacts://mlflow.test/1/m"),
        (OURS, "mlflow-artifacts://mlflow.test:80/1/m"),
        (f"{OURS}:5000/ml#team", "mlflow-artifacts://mlflow.test:5000/1/m"),
        ("https://mlflow.test", "mlflow-artifacts://mlflow.test:443/1/m"),
        ("sqlite:///mlflow.db", "mlflow-artifacts:/1/m"),
    ],
)
def test_the_registry_itself_is_this_store(server: str, uri: str) -> None:
    assert to_cluster_uri(uri, (REWRITE,), (), server) == "s3://mlflow/root/1/m/"


FORBIDDEN = [
    *ELSEWHERE[:3],
    "file:///home/runner/.docker",
    "/home/runner/.docker",
    "s3://payroll/models/m",
    "s3://mlflow-2/models/m",
    "s3://mlflow/../payroll/m",
    "gs://mlflow/m",
    "http://169.254.169.254/latest",
    "hf://mallory/m",
]


@pytest.mark.parametrize("uri", FORBIDDEN)
@pytest.mark.parametrize("settings", ["settings: {profile: mlserver}\n", IMAGE], ids=["mlserver", "image"])
def test_such_a_version_is_not_rendered(tmp_path: Path, uri: str, settings: str) -> None:
    """Also not with an image, which would contain what was downloaded from there."""
    root = repository(tmp_path, CONFIG + STORAGE)
    (root / "models/wine").mkdir(parents=True)
    (root / "models/wine/model.yaml").write_text(settings)
    registry = FakeRegistry([model(champion="1")])
    assert run(root, registry).findings == ()
    before = tree(root)
    registry.known = [model(champion="2")]
    (listed,) = [one for one in registry.list_versions() if one.version == "2"]
    registry.changes["wine", "2"] = msgspec.structs.replace(listed, source=uri)
    assert {finding.rule for finding in run(root, registry).findings} == {"storage-refused"}
    assert tree(root) == before


@pytest.mark.parametrize("uri", ["mlflow-artifacts:/1/m", "mlflow-artifacts://mlflow.test/1/m", "s3://mlflow/1/m"])
def test_an_image_of_this_store_is_rendered(tmp_path: Path, uri: str) -> None:
    root = repository(tmp_path, CONFIG + STORAGE)
    (root / "models/wine").mkdir(parents=True)
    (root / "models/wine/model.yaml").write_text(IMAGE)
    registry = FakeRegistry([model(champion="1")])
    registry.changes["wine", "1"] = msgspec.structs.replace(registry.list_versions()[0], source=uri)
    assert run(root, registry).findings == ()


@pytest.mark.parametrize("place", ["file:///home/runner/.docker", "/home/runner/.docker", "FILE:///etc", "mlruns/1"])
def test_a_folder_of_this_disk_is_not_a_servers(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """A server on this machine may share its disk with the person who runs it; a runner of CI shares none."""
    monkeypatch.setenv("NO_PROXY", "*")
    wanted = ModelDownload(name="wine", number="1")
    with fake(lambda asked: good({"artifact_uri": place})) as server:
        find_place(wanted, server.url)
        with pytest.raises(InputError, match="and MLflow would go there"):
            find_place(wanted, server.url.replace("127.0.0.1", "0.0.0.0"))  # not a loopback address


@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_PASSWORD"])
def test_a_database_sends_no_token_to_where_a_version_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    import mlflow

    for name, text in {variable: "hush-token", "MLFLOW_TRACKING_USERNAME": "ada"}.items():
        monkeypatch.setenv(name, text)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    files = {"files": [{"path": "MLmodel", "is_dir": False, "file_size": 2}]}
    with fake(lambda asked: Answer(body=b"{}") if asked.path.endswith("MLmodel") else good(files)) as evil:
        uri = f"sqlite:///{tmp_path}/notes.db"
        client = mlflow.MlflowClient(uri, uri)
        client.create_registered_model("wine")
        client.create_model_version("wine", f"{evil.url}/api/2.0/mlflow-artifacts/artifacts/steal")
        (tmp_path / "to").mkdir()
        download_version(ModelDownload(name="wine", number="1"), uri, tmp_path / "to", root=tmp_path)
        assert evil.asked
        assert not [asked for asked in evil.asked if "Authorization" in asked.headers]


@pytest.mark.parametrize("stage", ["install", "serve"])
def test_the_next_stage_does_not_know_the_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
    chosen = ChosenRegistry(uri="http://ada:hunter2hunter2@mlflow.test")
    target = Target(
        model="wine",
        slug="wine",
        version="1",
        profile="mlserver",
        mlmodel=Mlmodel(sha256="0" * 64, flavors=()),
        registry=chosen,
        root=tmp_path,
    )
    test = SmokeTest(
        model="wine", slug="wine", version="1", environments=(), profile="mlserver", runtime="", gate="", passed=False
    )
    plan = StagePlan(
        trials=(Trial(target=target, result=test), Trial(target=target, result=test)),
        options=ServeOptions(),
        workspace=tmp_path,
        walls=Walls(files=False, network=False),
        output_format="text",
    )

    def stop(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "execve", stop)
    with pytest.raises(KeyboardInterrupt):
        start_stage("install" if stage == "install" else "serve", plan)
    accept_signals()
    text = (tmp_path / "plan.json").read_text()
    assert "wine" in text
    assert "hunter2" not in text
    assert "mlflow.test" not in text
