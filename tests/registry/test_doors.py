"""Every door says the same of the same content: servers of MLflow 3.x and 2.22, a database, a folder."""

from __future__ import annotations

import hashlib
import json
import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from m2g import mlmodel
from m2g.core.errors import InputError, OutsideError
from m2g.core.model import Dataset, Field, ModelVersion, Signature, VersionFacts
from m2g.registry import Registry, open_registry
from m2g.registry.download import ModelDownload, download_version
from tests.support.mlflow_store import KINDS, ORDINARY, PYTHON3, WEIRD, Kind, Server, store

pytestmark = [pytest.mark.timeout(400), pytest.mark.slow]  # the first test of a kind starts a server and fills it

WINE = {"broken": "NaN", "r2": 0.1 + 0.2}
"""Metrics of each wine, but `rmse`."""
TENSORS = Signature(
    inputs=(Field(name="", type="float64", shape=(-1, 13)),), outputs=(Field(name="", type="float64", shape=(-1,)),)
)
COLUMNS = (Field(name="amount", type="double"), Field(name="country", type="string"), Field(name="n", type="long"))


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    chosen: Kind = request.param
    return chosen


@pytest.fixture
def registry(kind: Kind) -> Registry:
    return open_registry(store(kind).uri)


def names(kind: Kind) -> list[str]:
    """A folder store refuses `%` in a name."""
    return sorted(name for name in (*ORDINARY, *WEIRD) if kind != "folder" or "%" not in name)


def facts_of(registry: Registry, name: str, version: str = "1") -> VersionFacts:
    versions = [one for one in registry.list_versions(name) if one.version == version]
    return registry.read_facts(versions)[name, version]


def test_models_come_by_name_with_aliases_and_tags_and_without_prompts(registry: Registry, kind: Kind) -> None:
    models = registry.list_models()
    assert [model.name for model in models] == names(kind)
    by_name = {model.name: model for model in models}
    assert by_name["wine-quality"].aliases == {"challenger": "2", "champion": "1"}
    assert by_name["wine-quality"].tags == {"team": "cellar"}
    assert by_name["empty"].tags == {"long": "x" * 4000, "why": "nothing yet"}
    assert list(by_name["empty"].tags) == ["long", "why"]
    assert all(by_name[name].aliases == {"champion": "1"} for name in WEIRD if name in by_name)


def test_versions_come_by_name_and_number(registry: Registry, kind: Kind) -> None:
    versions = {(v.name, v.version): v for v in registry.list_versions()}
    expected = [(name, "1") for name in names(kind) if name != "empty"]
    assert list(versions) == sorted([*expected, ("wine-quality", "2")])
    assert {v.status for v in versions.values()} == {"READY"}
    assert versions["wine-quality", "1"].tags == {"empty": "", "m2g.dev/min-replicas": "2"}
    assert versions["wine-quality", "2"].created_at > versions["wine-quality", "1"].created_at > 1_700_000_000_000
    assert {key for key, v in versions.items() if v.stage != "None"} == {("fraud", "1")}
    assert versions["fraud", "1"].stage == "Production"
    assert versions["fraud", "1"].source == f"runs:/{versions['fraud', '1'].run_id}/model"
    assert versions["elsewhere", "1"].run_id == ""


def test_one_model_is_what_the_list_says(registry: Registry) -> None:
    versions = registry.list_versions()
    for model in registry.list_models():
        assert registry.find_model(model.name) == model
        assert registry.list_versions(model.name) == [v for v in versions if v.name == model.name]


@pytest.mark.parametrize("name", ["greeting", "none-such", "WINE-QUALITY", ""])
def test_a_model_that_is_not_there_is_none(registry: Registry, name: str) -> None:
    if name:
        assert registry.find_model(name) is None
    assert registry.list_versions(name) == []


def test_a_wine_has_its_run_and_its_mlmodel(registry: Registry) -> None:
    for version, slope in (("1", 1.0), ("2", 2.0)):
        facts = facts_of(registry, "wine-quality", version)
        assert facts.problem == ""
        assert facts.run is not None
        assert facts.run.metrics == {**WINE, "rmse": slope / 4}
        assert facts.run.params == {"alpha": str(slope), "name": "elastic"}
        assert facts.run.tags["mlflow.source.git.commit"] == "0123abc"
        assert facts.run.tags["note"] == "first line\nsecond: line"
        assert facts.run.datasets == (Dataset(name="wine", digest="d1", context="training"),)
        assert "MLmodel" in facts.files
        parsed = mlmodel.read(facts.files)
        assert [flavor.name for flavor in parsed.flavors] == ["python_function", "sklearn"]
        assert (parsed.loader_module, parsed.signature) == ("mlflow.sklearn", TENSORS)


def test_a_wine_has_the_files_beside_its_mlmodel(registry: Registry) -> None:
    facts = facts_of(registry, "wine-quality")
    assert sorted(facts.files) == ["MLmodel", "requirements.txt", "serving_input_example.json"]
    parsed = mlmodel.read(facts.files, facts.unread)
    assert parsed.requirements is not None
    assert "scikit-learn<99" in parsed.requirements
    assert parsed.example == json.dumps({"inputs": [[float(n) for n in range(13)]]}, separators=(",", ":"))
    assert parsed.python_version.startswith("3.")
    assert {flavor.name: flavor.file for flavor in parsed.flavors}["sklearn"] in {"model.pkl", "model.skops"}


def test_a_runs_source_becomes_the_place_of_the_files(registry: Registry) -> None:
    facts = facts_of(registry, "fraud")
    assert facts.problem == ""
    assert not facts.artifact_uri.startswith("runs:")
    assert facts.run is not None
    assert facts.run.metrics == {"auc": 1.0}
    assert "MLmodel" in facts.files
    signature = mlmodel.read(facts.files).signature
    assert signature is not None
    assert signature.inputs == COLUMNS
    assert signature.params == (Field(name="limit", type="long", required=False, default="3"),)


def test_odd_versions_do_not_fail_the_others(registry: Registry, kind: Kind) -> None:
    facts = registry.read_facts(registry.list_versions())
    assert [key for key, one in facts.items() if one.problem] == [("elsewhere", "1")]
    assert "s3://no-such-bucket-of-ours/model/MLmodel" in facts["elsewhere", "1"].problem
    unreadable = [name for (name, _), one in facts.items() if not one.files]
    assert unreadable == ["elsewhere", "gone", "notes"]
    weird = [facts[name, "1"] for name in WEIRD if name in names(kind)]
    assert [one.files for one in weird] == [facts["wine-quality", "1"].files] * len(weird)
    assert {one.artifact_uri for one in weird} == {facts["wine-quality", "1"].artifact_uri}


def test_facts_of_nothing_are_nothing(registry: Registry) -> None:
    assert registry.read_facts([]) == {}


def test_a_version_that_was_deleted_meanwhile_is_a_problem_of_its_own(registry: Registry) -> None:
    there = registry.list_versions("direct")
    gone = ModelVersion(name="direct", version="7", source="", created_at=0)
    facts = registry.read_facts([*there, gone])
    assert facts["direct", "1"].problem == ""
    assert facts["direct", "7"].problem


def test_a_run_that_is_no_more_is_no_run(registry: Registry) -> None:
    there = registry.list_versions("direct")[0]
    lost = ModelVersion(name="direct", version="1", source=there.source, created_at=0, run_id="0" * 32)
    facts = registry.read_facts([lost])["direct", "1"]
    assert (facts.run, facts.problem) == (None, "")
    assert "MLmodel" in facts.files


def test_a_download_is_from_the_workspace_of_m2g_yaml(
    workspaces: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`m2g smoke` and `m2g image` download with MLflow's own command, which must look into the same workspace."""
    import mlflow

    monkeypatch.delenv("MLFLOW_WORKSPACE", raising=False)
    url, name = workspaces.url, "of-the-team"
    post(f"{url}/api/3.0/mlflow/workspaces", {"name": "team-b"})
    (tmp_path / "MLmodel").write_text("flavors: {}\n")
    with monkeypatch.context() as team:
        team.setenv("MLFLOW_WORKSPACE", "team-b")
        client = mlflow.MlflowClient(url)
        run = client.create_run(client.create_experiment(name)).info.run_id
        client.log_artifact(run, str(tmp_path / "MLmodel"), "model")
        client.create_registered_model(name)
        client.create_model_version(name, f"runs:/{run}/model", run)
    (tmp_path / "to").mkdir()
    wanted = ModelDownload(name=name, number="1", workspace="team-b")
    found = download_version(wanted, url, tmp_path / "to", root=tmp_path)
    assert (found / "MLmodel").read_text() == "flavors: {}\n"
    with pytest.raises((InputError, OutsideError), match="of-the-team"):
        download_version(ModelDownload(name=name, number="1"), url, tmp_path / "to", root=tmp_path)


@pytest.mark.parametrize("server", ["mlflow3", "mlflow2"])
def test_a_server_and_its_database_say_the_same_and_the_database_stays_as_it_was(server: Kind) -> None:
    """Also for a 2.22 database: the mlflow 3 package would have migrated it under the server."""
    made = store(server)
    path = made.folder / "mlflow.db"
    before = hashlib.sha256(path.read_bytes()).digest()
    here, there = open_registry(f"sqlite:///{path}"), open_registry(made.uri)
    assert here.list_models() == there.list_models()
    versions = there.list_versions()
    assert here.list_versions() == versions
    direct = [version for version in versions if version.name in {"direct", "gone"}]
    assert here.read_facts(direct) == there.read_facts(direct)
    behind_proxy = here.read_facts(here.list_versions("wine-quality"))["wine-quality", "1"]
    assert "set registry.uri to that server" in behind_proxy.problem
    assert hashlib.sha256(path.read_bytes()).digest() == before


@pytest.mark.parametrize("kind", ["sqlite", "folder"])
def test_reading_leaves_nothing_here_and_no_variable(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mlflow package likes to make mlflow.db and mlruns in the current folder."""
    made = store(kind)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    registry = open_registry(made.uri)
    assert registry.read_facts(registry.list_versions())
    assert list(tmp_path.iterdir()) == []
    assert os.environ["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:9"


def test_many_runs_come_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """More runs than are asked for one by one: the same facts by search."""
    registry = open_registry(store("mlflow3").uri)
    versions = registry.list_versions()
    one_by_one = {key: facts for version in versions for key, facts in registry.read_facts([version]).items()}
    assert any(version.source.startswith("models:/m-") for version in versions)
    monkeypatch.setattr("m2g.registry.facts_api._FEW", 0)
    assert registry.read_facts(versions) == one_by_one


@pytest.fixture(scope="module")
def workspaces() -> Iterator[Server]:
    server = Server(PYTHON3, "--enable-workspaces").wait()
    yield server
    server.stop()


def post(url: str, body: dict[str, str], workspace: str = "") -> None:
    headers = {"Content-Type": "application/json", **({"X-MLFLOW-WORKSPACE": workspace} if workspace else {})}
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)) as answer:
        assert answer.status in {200, 201}


def test_a_workspace_is_a_registry_of_its_own(workspaces: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    url = workspaces.url
    post(f"{url}/api/3.0/mlflow/workspaces", {"name": "team-a"})
    post(f"{url}/api/2.0/mlflow/registered-models/create", {"name": "in-default"})
    post(f"{url}/api/2.0/mlflow/registered-models/create", {"name": "in-team"}, "team-a")
    team, default = open_registry(url, workspace="team-a"), open_registry(url)
    assert [model.name for model in team.list_models()] == ["in-team"]
    assert [model.name for model in default.list_models()] == ["in-default"]
    assert team.find_model("in-default") is None
    assert (team.identity, default.identity) == (f"{url}#team-a", url)
    monkeypatch.setenv("MLFLOW_WORKSPACE", "team-a")
    assert open_registry(url).identity == team.identity
    nobody = open_registry(url, workspace="nobody")
    with pytest.raises(InputError, match="'nobody' not found"):
        nobody.list_models()
    with pytest.raises(InputError, match="'nobody' not found"):
        nobody.find_model("in-team")


@pytest.mark.parametrize("server", ["mlflow3", "mlflow2"])
def test_a_server_without_workspaces_says_so(server: Kind) -> None:
    with pytest.raises(InputError, match="has no workspaces") as raised:
        open_registry(store(server).uri, workspace="team-a").list_models()
    assert "--enable-workspaces" in raised.value.hint


def test_the_identity_is_what_the_person_wrote_without_secrets(tmp_path: Path) -> None:
    made = store("mlflow3")
    port = made.uri.rpartition(":")[2]
    assert open_registry(f"HTTP://ada:secret@127.0.0.1:{port}/?x=1#/models").identity == made.uri
    assert open_registry(f"sqlite:///{tmp_path}/mlflow.db?timeout=3").identity == f"sqlite:///{tmp_path}/mlflow.db"
    assert open_registry("sqlite:///mlflow.db").identity == "sqlite:///mlflow.db"
    assert open_registry("./mlruns").identity == "./mlruns"
    assert open_registry("postgresql://ada:secret@db/mlflow?sslmode=x").identity == "postgresql://db/mlflow"
