"""`mlflow deployments … -t m2g` with the real command, a real MLflow server and a real Gitea."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command_line import M2G
from tests.support.gitea import git
from tests.support.machine import seconds
from tests.support.serve_world import CONFIG, World

pytestmark = [pytest.mark.forge, pytest.mark.slow, pytest.mark.usefixtures("kustomize")]
BRANCH = "m2g-edit/lab/wine"


class Person:
    """A data scientist with a clone. `lab` follows nothing, and `prod` follows the champion."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        files = world.folder / "files"
        (files / "m2g.yaml").write_text(
            CONFIG.replace("environments:\n", "environments:\n  lab: {namespace: models-lab}\n")
        )
        world.repository.push(files)
        self.clone = folder / "clone"
        git(folder, "clone", "-q", world.repository.remote(world.ada), str(self.clone))
        git(self.clone, "remote", "set-url", "origin", world.repository.url)
        self.variables = {
            **os.environ,
            "M2G_TOKEN": world.bot.limited("write:repository", "write:issue"),
            "MLFLOW_TRACKING_URI": str(world.registry.tracking_uri),
            "GIT_ALLOW_PROTOCOL": "file:http",
            "NO_PROXY": "*",
        }

    def run(self, *words: str, code: int = 0) -> str:
        """What a command prints."""
        done = subprocess.run(
            words, cwd=self.clone, env=self.variables, capture_output=True, text=True, check=False, timeout=seconds(180)
        )
        text = done.stdout + done.stderr
        assert done.returncode == code, text
        assert "Traceback" not in text
        assert self.variables["M2G_TOKEN"] not in text
        return text

    def mlflow(self, verb: str, *words: str, code: int = 0, target: str = "m2g") -> str:
        """Run `mlflow deployments`."""
        return self.run(sys.executable, "-m", "mlflow", "deployments", verb, "-t", target, *words, code=code)

    def sync(self) -> str:
        """Run `m2g sync`; it must leave this person's proposals alone."""
        return self.run(*M2G, "sync", "--env", "lab")

    def titles(self) -> dict[str, str]:
        """Branch → title of the open pull requests."""
        return {str(one["head"]["ref"]): str(one["title"]) for one in self.world.pulls()}

    def merge(self) -> None:
        """Merge the proposal, delete its branch, and get the result."""
        (pull,) = self.world.pulls()
        assert self.world.repository.merge(self.world.ada, pull["number"]).is_success
        git(self.clone, "push", "-q", self.world.repository.remote(self.world.ada), f":refs/heads/{BRANCH}")
        git(self.clone, "pull", "-q", self.world.repository.remote(self.world.ada), "main")


@pytest.fixture
def person(world: World, tmp_path: Path) -> Person:
    return Person(world, tmp_path)


def test_create_update_and_delete_are_reviewed(person: Person) -> None:
    text = person.mlflow("create", "--name", "lab/wine", "-m", "models:/wine/1")
    (pull,) = person.world.pulls()
    assert f"review and merge #{pull['number']} {pull['html_url']}" in text
    assert person.titles() == {BRANCH: "wine (lab): version 1, new"}
    assert "version: 1" in person.world.repository.read("models/wine/model.yaml", BRANCH)
    tip = person.world.repository.tips()[BRANCH]
    assert f"#{pull['number']} " in person.mlflow("create", "--name", "lab/wine", "-m", "models:/wine/1")
    assert person.world.repository.tips()[BRANCH] == tip
    assert "nothing to do" in person.sync()
    assert person.titles() == {BRANCH: "wine (lab): version 1, new"}

    person.mlflow("create", "--name", "lab/wine", "-m", "models:/wine/2")
    assert person.titles() == {BRANCH: "wine (lab): version 2, new"}
    person.merge()
    assert "nothing to do" in person.sync()
    assert "lab/wine runs version 2 already" in person.mlflow(
        "create", "--name", "lab/wine", "-m", "models:/wine/1", code=1
    )

    person.mlflow("update", "--name", "lab/wine", "-m", "models:/wine/1", target=f"m2g:{person.world.repository.url}")
    assert person.titles() == {BRANCH: "wine (lab): 2 → 1"}
    person.merge()
    assert "{'name': 'lab/wine', 'model': 'wine', 'version': '1'}" in person.mlflow("list")
    assert "version: 1\n" in person.mlflow("get", "--name", "lab/wine", target=f"m2g:{person.clone}")

    person.mlflow("delete", "--name", "lab/wine")
    assert person.titles() == {BRANCH: "wine (lab): version 1 is removed"}
    person.merge()
    assert not (person.clone / "models/wine/releases/lab.json").exists()
    assert "nothing to do" in person.sync()
    assert "[]" in person.mlflow("list")


def test_where_an_alias_is_followed_the_alias_moves(person: Person) -> None:
    text = person.mlflow("create", "--name", "prod/wine", "-m", "models:/wine/2", code=1)
    assert "prod follows the alias champion, and m2g moves nothing behind its back" in text
    assert person.world.pulls() == []
    line = text.partition("move it in the registry: ")[2].splitlines()[0]
    person.run("bash", "-c", line)
    assert person.world.registry.get_model_version_by_alias("wine", "champion").version == "2"
    text = person.mlflow("delete", "--name", "prod/wine", code=1)
    assert "delete_registered_model_alias('wine', 'champion')" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["create", "--name", "wine", "-m", "models:/wine/1"], "'wine' is no deployment; write ENVIRONMENT/MODEL"),
        (["create", "--name", "lab/wine", "-m", "models:/wine@champion"], "names no version of a registered model"),
        (["create", "--name", "lab/wine", "-m", "runs:/abc/model"], "names no version of a registered model"),
        (["create", "--name", "lab/other", "-m", "models:/wine/1"], "write --name lab/wine"),
        (["create", "--name", "lap/wine", "-m", "models:/wine/1"], "lap"),
        (["create", "--name", "lab/wine", "-m", "models:/wine/77"], "version 77"),
        (["update", "--name", "lab/wine", "-m", "models:/wine/1"], "lab/wine is not deployed"),
        (["delete", "--name", "lab/wine"], "lab/wine is not deployed"),
        (["get", "--name", "lab/wine"], "wine"),
    ],
)
def test_what_cannot_be_is_said_without_a_traceback(person: Person, words: list[str], message: str) -> None:
    text = person.mlflow(words[0], *words[1:], code=1)
    assert message in text
    assert person.world.pulls() == []
