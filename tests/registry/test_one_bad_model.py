"""What one model makes a server say is that model's finding, by name: its record stays, and the others go on."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from m2g.changes.update import RenderOptions, update
from m2g.core.errors import InputError, OutsideError
from m2g.core.results import RenderResult
from m2g.registry import open_registry
from m2g.repository.state import Scope
from tests.support.fake_server import API, Answer, Asked, Fake, fake, good, no, page
from tests.support.fleet import MLMODEL, FakeRegistry, model, repository, run, tree

pytestmark = pytest.mark.attack

HOST = b"Invalid Host header - possible DNS rebinding attack detected"
SAYS = {
    "302": Answer(status=302, headers={"Location": "https://login.example.com/"}),
    "302 to another server": Answer(status=302, headers={"Location": "http://127.0.0.1:9/"}),
    "308": Answer(status=308, headers={"Location": "https://127.0.0.1/"}),
    "401": no(401, "UNAUTHENTICATED", "who?"),
    "401 with a page": page(status=401),
    "403": no(403, "PERMISSION_DENIED", "no"),
    "407": page(status=407),
    "451": page(status=451),
    "invalid host": Answer(status=403, kind="text/plain", body=HOST),
    "feature disabled": no(400, "FEATURE_DISABLED", "Workspace APIs are not available"),
    "lost workspace": no(404, "RESOURCE_DOES_NOT_EXIST", "Workspace 'a' not found"),
}
ROUTES = ("get-artifact", "get-download-uri")


class Server:
    """Two models, wine and fraud, with version 1 in prod. `broken` routes say `says` for wine, or for its run."""

    def __init__(self) -> None:
        self.says = Answer()
        self.broken = ""
        self.alias = "1"
        self.lists_wine = True

    def __call__(self, asked: Asked) -> Answer:
        name = asked.query.get("name", asked.query.get("run_id", ""))
        if name == "wine" and self.broken and asked.path.endswith(self.broken):
            return self.says
        models = [name for name in ("fraud", "wine") if self.lists_wine or name != "wine"]
        match asked.path.removeprefix(API):
            case "registered-models/search":
                alias = {"alias": "champion", "version": self.alias}
                return good({"registered_models": [{"name": name, "aliases": [alias]} for name in models]})
            case "model-versions/search":
                return good({"model_versions": [self.version(name, number) for name in models for number in "12"]})
            case "model-versions/get-download-uri":
                return good({"artifact_uri": f"s3://bucket/{name}"})
            case "runs/get":
                return good({"run": {"info": {"run_id": name}, "data": {"params": [{"key": "lr", "value": "0.1"}]}}})
            case _:
                files = {"MLmodel": MLMODEL, "requirements.txt": b"mlflow==2.19.0\n"}
                found = files.get(asked.query.get("path", ""))
                return no(404, "RESOURCE_DOES_NOT_EXIST", "gone") if found is None else Answer(body=found)

    def version(self, name: str, number: str) -> dict[str, object]:
        return {"name": name, "version": number, "creation_timestamp": 1, "source": f"s3://b/{name}", "run_id": name}


def render(root: Path, server: Fake) -> RenderResult:
    return update(root, RenderOptions(), open_registry=lambda config: open_registry(server.url, patience=2))


def files_of(root: Path, name: str) -> dict[str, bytes]:
    return {path: content for path, content in tree(root).items() if name in path}


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("says", SAYS.values(), ids=SAYS)
def test_a_version_that_cannot_be_read_is_its_own_finding(tmp_path: Path, says: Answer, route: str) -> None:
    root, script = repository(tmp_path), Server()
    with fake(script) as server:
        render(root, server)
        before = files_of(root, "wine")
        script.alias, script.says, script.broken = "2", says, route
        outcome = render(root, server)
    findings = [(finding.rule, finding.model, finding.environment) for finding in outcome.findings]
    assert findings == [("version-unreadable", "wine", "prod")]
    assert "version 2" in outcome.findings[0].message
    assert outcome.findings[0].hint
    assert [(change.model, change.after) for change in outcome.releases] == [("fraud", "2")]
    assert files_of(root, "wine") == before


@pytest.mark.parametrize("says", SAYS.values(), ids=SAYS)
def test_a_model_that_may_not_be_read_any_more_stays_and_is_named(tmp_path: Path, says: Answer) -> None:
    root, script = repository(tmp_path), Server()
    with fake(script) as server:
        render(root, server)
        before = files_of(root, "wine")
        script.alias, script.says, script.broken, script.lists_wine = "2", says, "registered-models/get", False
        outcome = render(root, server)
    findings = [(finding.rule, finding.model, finding.environment) for finding in outcome.findings]
    assert findings == [("model-unreadable", "wine", "prod")]
    assert [(change.model, change.after) for change in outcome.releases] == [("fraud", "2")]
    assert files_of(root, "wine") == before


def test_a_run_that_may_not_be_read_costs_its_facts_and_nothing_else(tmp_path: Path) -> None:
    root, script = repository(tmp_path), Server()
    script.broken, script.says = "runs/get", no(403, "PERMISSION_DENIED", "Permission denied")
    with fake(script) as server:
        outcome = render(root, server)
        again = render(root, server)
    assert [(finding.rule, finding.severity, finding.model) for finding in outcome.findings] == [
        ("run-unreadable", "warning", "wine")
    ]
    assert [change.model for change in outcome.releases] == ["fraud", "wine"]
    assert b'"lr"' in files_of(root, "fraud")["models/fraud/releases/prod.json"]
    record = files_of(root, "wine")["models/wine/releases/prod.json"]
    assert b'"lr"' not in record
    assert b'"id": "wine"' in record
    assert (again.files, again.findings) == ((), ())


@pytest.mark.parametrize("says", [SAYS["302"], SAYS["401"], SAYS["invalid host"], SAYS["lost workspace"]])
def test_before_the_server_has_answered_it_is_about_the_server(says: Answer) -> None:
    with fake(lambda asked: says) as server, pytest.raises((InputError, OutsideError)) as raised:
        open_registry(server.url, patience=2).list_models()
    assert raised.value.hint


def test_a_listing_that_is_refused_in_the_middle_removes_nothing(tmp_path: Path) -> None:
    root, script = repository(tmp_path), Server()
    with fake(script) as server:
        render(root, server)
        before = tree(root)

        def refuse(asked: Asked) -> Answer:
            return SAYS["401"] if asked.path.endswith("model-versions/search") else script(asked)

    with fake(refuse) as server, pytest.raises(OutsideError, match="HTTP 401") as raised:
        render(root, server)
    assert "MLFLOW_TRACKING" in raised.value.hint
    assert tree(root) == before


class TestDeletedVersions:
    """Somebody deletes the version that an alias points to: MLflow drops the alias, and nobody meant the service."""

    def deleted(self, root: Path) -> FakeRegistry:
        registry = FakeRegistry([model(champion="3"), model("fraud", champion="1")])
        run(root, registry)
        registry.known[0] = model()
        registry.last = 2
        return registry

    def test_the_service_stays_and_m2g_asks(self, tmp_path: Path) -> None:
        root = repository(tmp_path)
        registry = self.deleted(root)
        before = tree(root)
        outcome = run(root, registry)
        assert [(f.rule, f.severity, f.model, f.environment) for f in outcome.findings] == [
            ("version-deleted", "warning", "wine", "prod")
        ]
        assert (outcome.files, tree(root)) == ((), before)

    def test_the_way_to_remove_it_works(self, tmp_path: Path) -> None:
        root = repository(tmp_path)
        registry = self.deleted(root)
        (finding,) = run(root, registry).findings
        subprocess.run(["git", "init", "-q"], cwd=root, check=True)
        subprocess.run(["git", "add", "."], cwd=root, check=True)
        command = finding.hint.partition("remove the service: ")[2].removesuffix(", then m2g render")
        subprocess.run([*shlex.split(command), "-q", "-f"], cwd=root, check=True)
        assert run(root, registry).findings == ()
        assert not (root / "models/wine").exists()
        assert (root / "models/fraud/releases/prod.json").exists()

    def test_the_way_to_keep_it_works(self, tmp_path: Path) -> None:
        root = repository(tmp_path)
        registry = self.deleted(root)
        registry.known[0] = model(champion="2")
        outcome = run(root, registry)
        assert [change.after for change in outcome.releases] == ["2"]
        assert outcome.findings == ()

    def test_an_alias_that_was_only_taken_away_removes_the_service(self, tmp_path: Path) -> None:
        root = repository(tmp_path)
        registry = self.deleted(root)
        registry.last = 3
        assert [change.kind for change in run(root, registry).releases] == ["removed"]


@pytest.mark.parametrize("named", ["Team Wine", "team-wine"])
def test_a_model_is_the_same_by_its_slug_and_by_its_name(tmp_path: Path, named: str) -> None:
    root = repository(tmp_path)
    registry = FakeRegistry([model("Team Wine", champion="1"), model("fraud", champion="1")])
    run(root, registry)
    (root / "models/team-wine/model.yaml").write_text("environments: {prod: {version: 99, reason: x}}\n")
    (root / "models/fraud/model.yaml").write_text("environments: {prod: {version: 98, reason: x}}\n")
    outcome = run(root, registry, RenderOptions(scope=Scope(models=frozenset({named}))))
    assert [(finding.rule, finding.model) for finding in outcome.findings] == [("version-not-ready", "Team Wine")]
