"""The command `m2g sync`, with a real MLflow store: in one run, and in two halves that share no credential."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema_rs
import pytest

from m2g import cli
from tests.support.git_repository import git
from tests.support.paths import ROOT
from tests.support.pipelines import Store, scaffolded
from tests.support.scaffolded import commit

pytestmark = [pytest.mark.usefixtures("kustomize"), pytest.mark.slow]
BRANCH = "m2g/prod/wine"


class Said(NamedTuple):
    """What a run printed."""

    stdout: str
    stderr: str


class Fleet:
    """A scaffolded repository, where a person or a job runs m2g, and its remote."""

    def __init__(self, folder: Path, made: Path, patch: pytest.MonkeyPatch, said: pytest.CaptureFixture[str]) -> None:
        self.clone, self.remote = folder / "clone", folder / "remote.git"
        self._patch, self._said = patch, said
        shutil.copytree(made, self.clone)
        git(folder, "clone", "-q", "--mirror", str(made), str(self.remote))
        git(self.clone, "remote", "add", "origin", str(self.remote))

    def m2g(self, *arguments: str, code: int = 0) -> Said:
        self._patch.chdir(self.clone)
        self._patch.setattr(sys, "argv", ["m2g", *arguments])
        self._said.readouterr()
        ended = cli.run(lambda: cli.group.main(list(arguments), standalone_mode=False))
        said = Said(*self._said.readouterr())
        assert ended == code, said
        return said

    def sync(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.m2g("sync", *arguments, "--format", "json", code=code).stdout)
        return found

    def branches(self) -> list[str]:
        return git(self.remote, "for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads").split()

    def default(self) -> str:
        return git(self.remote, "symbolic-ref", "--short", "HEAD")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rendered repository whose registry has moved on since."""
    folder = tmp_path_factory.mktemp("made")
    store = Store(folder)
    store.register("wine", champion=1)
    clone = scaffolded(folder / "clone", store)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(clone)
        assert cli.run(lambda: cli.group.main(["render"], standalone_mode=False)) == 0
    commit(clone, "Render")
    store.move("wine", "champion", 2)
    return clone


@pytest.fixture
def fleet(tmp_path: Path, made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Fleet:
    return Fleet(tmp_path, made, monkeypatch, capsys)


def test_one_run_proposes_and_the_next_has_nothing_to_do(fleet: Fleet) -> None:
    schema = json.loads((ROOT / "docs/reference/schemas/sync.schema.json").read_text())
    validator = jsonschema_rs.validator_for(schema)
    before = git(fleet.clone, "status", "--porcelain"), git(fleet.clone, "for-each-ref")
    planned = fleet.sync("--dry-run")
    assert [one["action"] for one in planned["proposals"]] == ["create"]
    assert fleet.branches() == [fleet.default()]
    done = fleet.sync()
    assert [(one["action"], one["branch"]) for one in done["proposals"]] == [("create", BRANCH)]
    assert sorted(fleet.branches()) == sorted([BRANCH, fleet.default()])
    again = fleet.sync()
    assert [one["action"] for one in again["proposals"]] == ["leave"]
    for one in (planned, done, again):
        validator.validate(one)
    assert (git(fleet.clone, "status", "--porcelain"), git(fleet.clone, "for-each-ref")) == before
    message = git(fleet.remote, "log", "-1", "--format=%B", BRANCH)
    assert message.startswith("wine (prod): 1 → 2\n\nM2g-Model: wine\nM2g-Environment: prod\nM2g-Version: 2\n")
    text = fleet.m2g("sync").stdout
    assert text.endswith(f"{fleet.default()}: nothing to do; 1 proposal left as it is\n")


def test_two_halves_share_a_file_and_no_credential(fleet: Fleet, made: Path, tmp_path: Path) -> None:
    git(fleet.clone, "remote", "set-url", "origin", str(tmp_path / "nowhere"))
    said = fleet.m2g("sync", "--resolve-only", "-o", "../snapshot.json").stdout
    assert said.startswith("1 releases differ from ")
    git(fleet.clone, "remote", "set-url", "origin", str(fleet.remote))
    database = made.parent / "mlflow.db"
    database.rename(tmp_path / "away.db")
    try:
        done = fleet.sync("--from", "../snapshot.json")
    finally:
        (tmp_path / "away.db").rename(database)
    assert [(one["action"], one["branch"]) for one in done["proposals"]] == [("create", BRANCH)]
    assert '"version": "2"' in git(fleet.remote, "show", f"{BRANCH}:models/wine/releases/prod.json")


def test_what_changed_on_the_branch_since_the_first_half_is_left_out(fleet: Fleet) -> None:
    fleet.m2g("sync", "--resolve-only", "-o", "../snapshot.json")
    (fleet.clone / "models/wine/model.yaml").write_text("environments: {prod: {version: 1, reason: hold}}\n")
    commit(fleet.clone, "hold")
    git(fleet.clone, "push", "-q", "origin", f"HEAD:{fleet.default()}")
    done = fleet.sync("--from", "../snapshot.json")
    assert "create" not in [one["action"] for one in done["proposals"] if one["branch"] == BRANCH]
    assert "snapshot-outdated" in [one["rule"] for one in done["findings"]]
    assert BRANCH not in fleet.branches()


@pytest.mark.attack
@pytest.mark.parametrize("slug", ["../../etc", "churn", "wine/../wine"])
def test_a_file_that_m2g_did_not_make_is_refused(fleet: Fleet, slug: str) -> None:
    fleet.m2g("sync", "--resolve-only", "-o", "../snapshot.json")
    path = fleet.clone.parent / "snapshot.json"
    made = json.loads(path.read_text())
    made["entries"][0]["slug"] = slug
    path.write_text(json.dumps(made))
    done = fleet.m2g("sync", "--from", "../snapshot.json", code=2 if slug != "churn" else 0)
    assert BRANCH not in fleet.branches()
    assert "m2g/prod/churn" not in fleet.branches(), done.stdout


@pytest.mark.attack
def test_an_environment_with_another_lock_or_image_is_refused(fleet: Fleet) -> None:
    lock = "evil==1 \\\n    --hash=sha256:" + "0" * 64 + "\n"
    environment = {
        "schema": 1, "python": "3.12", "server": "mlflow", "base": "python:3.12-slim", "platforms": ["linux/amd64"],
        "lock": hashlib.sha256(lock.encode()).hexdigest(), "requirements": [],
    }  # fmt: skip
    fleet.m2g("sync", "--resolve-only", "-o", "../snapshot.json")
    path = fleet.clone.parent / "snapshot.json"
    made = json.loads(path.read_text())
    for changed, words in (
        ({"lock": "evil==1\n"}, "the snapshot has another lock for the environment py312-mlflow-"),
        ({"environment": {**environment, "lock": "0" * 64}}, "the snapshot has another lock"),
        ({"environment": {**environment, "image": "evil.example.com/x@sha256:" + "0" * 64}}, "the snapshot has 'evil"),
    ):
        path.write_text(json.dumps({**made, "environments": [{"environment": environment, "lock": lock, **changed}]}))
        assert words in fleet.m2g("sync", "--from", "../snapshot.json", code=2).stderr
        assert BRANCH not in fleet.branches()


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--resolve-only"], "m2g sync --resolve-only -o snapshot.json"),
        (["--resolve-only", "-o", "a", "--from", "b"], "give one of them to each job"),
        (["--interval", "soon"], "write it like 30s, 5m or 1h30m"),
        (["--once", "--interval", "5m"], "leave one of them out"),
        (["--from", "missing.json"], "m2g sync --resolve-only -o FILE"),
        (["--branch", "missing"], "name another one: --branch NAME"),
        (["--remote", "missing"], "git remote add origin ADDRESS"),
        (["--env", "missing"], "use one of: dev, prod, staging"),
    ],
)
def test_a_wrong_option_says_what_to_write(fleet: Fleet, arguments: list[str], hint: str) -> None:
    assert hint in fleet.m2g("sync", *arguments, code=2).stderr
