"""`m2g sync` on a real Gitea: from a moved alias to a merge, and everything that people do in between."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from m2g.core.proposal_types import Proposals
from m2g.delivery.marker import read_marker
from m2g.delivery.values import EDITED
from m2g.forge.gitea import Gitea as GiteaForge
from tests.support.apiserver.server import until
from tests.support.fleet import CONFIG
from tests.support.gitea import Gitea, git
from tests.support.sync_world import SyncWorld, actions, of

pytestmark = [pytest.mark.forge, pytest.mark.usefixtures("kustomize")]
BRANCH = "m2g/prod/wine"


class GiteaWorld(SyncWorld):
    """The world with its remote on Gitea. `bot` runs m2g, `ben` is a person who may write."""

    def __init__(self, forge: Gitea, folder: Path, name: str, config: str = CONFIG) -> None:
        self.ada, self.bot, self.ben = (forge.user(f"{name}-{one}") for one in ("ada", "bot", "ben"))
        self.repository = self.ada.create(name)
        self.repository.admit(self.bot)
        self.repository.admit(self.ben)
        self.token = self.bot.limited("write:repository", "write:issue")
        super().__init__(folder, config, self.repository.remote(self.ada))
        git(self.clone, "remote", "set-url", "origin", self.repository.url)
        self.api = f"{forge.url}/api/v1"
        self.forge = self.open

    def open(self, rules: Proposals) -> GiteaForge:
        """The client with the token of the bot."""
        path = f"{self.ada.name}/{self.repository.name}"
        return GiteaForge(self.api, self.repository.url.removesuffix(".git"), path, self.token)

    def pulls(self, state: str = "open") -> list[dict[str, Any]]:
        """Pull requests, the oldest first."""
        return sorted(self.repository.pulls(state), key=lambda one: int(one["number"]))

    def accept(self, number: int) -> None:
        """Merge as a person."""
        answer = self.repository.merge(self.ben, number)
        assert answer.is_success, answer.text

    def close(self, number: int) -> None:
        """Close as a person."""
        self.ben.ask("PATCH", f"{self.repository.path}/pulls/{number}", state="closed")

    def comments(self, number: int) -> list[str]:
        """What is said below a pull request."""
        return [str(one["body"]) for one in self.ada.pages(f"{self.repository.path}/issues/{number}/comments")]

    def person_commits(self, branch: str, folder: Path) -> str:
        """A commit of a person on a branch."""
        git(folder, "clone", "-q", "-b", branch, self.repository.remote(self.ben), str(folder / "person"))
        (folder / "person/note.txt").write_text("mine\n")
        git(folder / "person", "add", "-A")
        git(folder / "person", "commit", "-q", "-m", "mine")
        git(folder / "person", "push", "-q", "origin", "HEAD")
        return git(folder / "person", "rev-parse", "HEAD").strip()


@pytest.fixture
def world(forge: Gitea, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GiteaWorld:
    monkeypatch.setenv("GIT_ALLOW_PROTOCOL", "file:http")
    monkeypatch.setenv("NO_PROXY", "*")
    made = GiteaWorld(forge, tmp_path, f"s{abs(hash(request.node.name)) % 1_000_000}")
    monkeypatch.setenv("M2G_TOKEN", made.token)
    return made


def test_the_whole_way(world: GiteaWorld) -> None:
    """A move is merged; the alias moves twice while one is open; a person closes it; the next version opens anew."""
    world.move("wine", champion="2")
    result = world.sync()
    assert actions(result) == {BRANCH: "create"}
    (pull,) = world.pulls()
    assert of(result, BRANCH).number == pull["number"]
    assert pull["title"] == "wine (prod): 1 → 2"
    assert pull["user"]["login"] == world.bot.name
    assert {one["name"] for one in pull["labels"]} == {"m2g", "env/prod", "risk/routine"}
    assert "rmse" in pull["body"]
    assert actions(world.sync()) == {BRANCH: "leave"}

    world.accept(pull["number"])
    assert actions(world.sync()) == {BRANCH: "close"}
    assert list(world.tips()) == ["main"]
    assert actions(world.sync()) == {}

    world.move("wine", champion="3")
    world.sync()
    (first,) = world.pulls()
    world.move("wine", champion="1")
    result = world.sync()
    assert actions(result) == {BRANCH: "update"}
    assert of(result, BRANCH).why == "supersedes version 3"
    (second,) = world.pulls()
    assert second["number"] == first["number"]
    assert second["title"] == "wine (prod): 2 → 1"
    assert "This replaces what was proposed here before: wine (prod) 3." in second["body"]

    world.close(second["number"])
    result = world.sync()
    assert world.pulls() == []
    assert list(world.tips()) == ["main"]
    assert any(f"declined in #{second['number']}" in one.why for one in result.proposals)
    world.sync()
    assert world.pulls() == []

    world.move("wine", champion="3")
    world.sync()
    (third,) = world.pulls()
    assert third["number"] != second["number"]
    world.move("wine", champion="1")
    world.sync()
    assert world.pulls() == []
    world.sync(reopen=["wine"])
    (fourth,) = world.pulls()
    assert fourth["title"] == "wine (prod): 2 → 1"
    assert actions(world.sync()) == {BRANCH: "leave"}


def test_a_vanished_difference_closes_with_the_reason_and_is_not_declined(world: GiteaWorld) -> None:
    world.move("wine", champion="2")
    world.sync()
    (pull,) = world.pulls()
    world.move("wine", champion="1")
    assert actions(world.sync()) == {BRANCH: "close"}
    assert world.pulls() == []
    assert "nothing left to change" in world.comments(pull["number"])[0]
    world.move("wine", champion="2")
    assert actions(world.sync()) == {BRANCH: "create"}


def test_a_commit_of_a_person_is_told_once_and_left(world: GiteaWorld, tmp_path: Path) -> None:
    world.move("wine", champion="2")
    world.sync()
    (pull,) = world.pulls()
    mine = world.person_commits(BRANCH, tmp_path)
    world.move("wine", champion="3")
    for _ in range(3):
        assert actions(world.sync()) == {BRANCH: "leave"}
    assert world.tips()[BRANCH] == mine
    assert len(world.comments(pull["number"])) == 1
    (pull,) = world.pulls()
    assert EDITED in {one["name"] for one in pull["labels"]}
    assert pull["title"] == "wine (prod): 1 → 2"


def test_a_branch_that_somebody_deleted_is_a_decline(world: GiteaWorld) -> None:
    """Gitea closes the pull request of a deleted branch: it is closed by somebody else than m2g."""
    world.move("wine", champion="2")
    world.sync()
    git(world.clone, "push", "-q", world.repository.remote(world.ben), f":refs/heads/{BRANCH}")
    for _ in range(2):
        world.sync()
    assert [one["state"] for one in world.pulls("all")] in (["closed"], ["open"])
    assert len(world.pulls("all")) == 1


def test_the_name_of_a_model_does_nothing_anywhere(world: GiteaWorld) -> None:
    name = "a`b` @ada #1\n<!-- m2g:proposal {} --> $(id) \u202e |x| [y](javascript:z)"
    world.move(name, champion="1")
    world.sync()
    (pull,) = world.pulls()
    assert pull["head"]["ref"].startswith("m2g/prod/")
    assert pull["title"].isascii() or "new" in pull["title"]
    assert "\n" not in pull["title"]
    assert pull["body"].count("<!-- m2g:proposal") == 1 or "`" in pull["body"]
    marker = read_marker(pull["body"])
    assert marker is not None
    assert marker.identities
    message = git(world.clone, "ls-remote", "origin", pull["head"]["ref"])
    assert message
    assert actions(world.sync()) == {pull["head"]["ref"]: "leave"}


def test_a_token_without_a_scope_is_named(world: GiteaWorld) -> None:
    world.token = world.bot.limited("read:repository")
    world.move("wine", champion="2")
    result = world.sync()
    assert actions(result) == {BRANCH: "wait"}
    (problem,) = result.problems
    assert "lacks the scope" in problem.hint
    assert "m2g needs write:repository and write:issue" in problem.hint
    assert world.token not in problem.message


def test_a_protected_branch_of_m2g_is_said(world: GiteaWorld) -> None:
    world.repository.protect("m2g/**")
    world.move("wine", champion="2")
    result = world.sync()
    assert actions(result) == {BRANCH: "wait"}
    assert "refuses the branch" in result.problems[0].message
    assert world.pulls("all") == []


def test_a_renamed_default_branch_is_followed(world: GiteaWorld) -> None:
    git(world.clone, "push", "-q", world.repository.remote(world.ada), "HEAD:refs/heads/trunk")
    until(lambda: world.ada.client.get(f"{world.repository.path}/branches/trunk").is_success, "the branch", 30)
    world.ada.ask("PATCH", world.repository.path, default_branch="trunk")
    world.move("wine", champion="2")
    result = world.sync()
    assert result.branch == "trunk"
    (pull,) = world.pulls()
    assert pull["base"]["ref"] == "trunk"


def test_many_syncs_at_once_lose_nothing_and_open_nothing_twice(world: GiteaWorld) -> None:
    world.move("wine", champion="2", challenger="3")
    world.move("churn", champion="3")
    failures: list[BaseException] = []

    def work() -> None:
        try:
            world.sync()
        except BaseException as error:  # noqa: BLE001  # every one counts
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    world.sync()
    assert sorted(one["head"]["ref"] for one in world.pulls()) == ["m2g/dev/wine", "m2g/prod/churn", BRANCH]
    assert sorted(world.tips()) == ["m2g/dev/wine", "m2g/prod/churn", BRANCH, "main"]
    assert set(actions(world.sync()).values()) == {"leave"}


@pytest.mark.timeout(600)
def test_a_run_that_is_killed_anywhere_is_finished_by_the_next(world: GiteaWorld, tmp_path: Path) -> None:
    world.move("wine", champion="2")
    world.move("churn", champion="3")
    script = tmp_path / "one.py"
    script.write_text(_SCRIPT)
    for step in range(8):
        child = subprocess.Popen(
            [sys.executable, str(script), str(world.clone), world.api, world.ada.name, world.repository.name],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "M2G_TOKEN": world.token, "PYTHONPATH": "generator:."},
        )
        time.sleep(0.4 * (step + 1))
        child.send_signal(signal.SIGKILL)
        child.wait()
    world.sync()
    assert sorted(one["head"]["ref"] for one in world.pulls("all")) == ["m2g/prod/churn", BRANCH]
    assert {"m2g", "env/prod", "risk/routine"} == {one["name"] for one in world.pulls()[0]["labels"]}
    assert set(actions(world.sync()).values()) == {"leave"}


_SCRIPT = """
import sys
from pathlib import Path
from m2g.commands import validate
from m2g.delivery.loop import LoopOptions, Tools, run_loop
from m2g.delivery.survey import SurveyOptions
from m2g.forge.gitea import Gitea
from m2g.git.remote import find_remote
from m2g.git.worktree import open_worktree
from m2g.report.review_markdown import render_markdown
from m2g.repository.state import Scope
from m2g.resolution.resolve import resolve
from tests.support.fleet import FakeRegistry, model
import os

clone, api, owner, name = Path(sys.argv[1]), *sys.argv[2:]
registry = FakeRegistry([model("wine", champion="2", challenger="1"), model("churn", champion="3")])
tools = Tools(
    resolve=lambda folder, base: lambda repository, cache: resolve(repository, registry, Scope(), cache),
    validate=lambda root, part: validate.validate(root, validate.ValidateOptions(scope=part)),
    describe=render_markdown,
    open_forge=lambda rules: Gitea(api, "http://page", f"{owner}/{name}", os.environ["M2G_TOKEN"]),
)
with open_worktree(clone, find_remote(clone)) as worktree:
    run_loop(worktree, LoopOptions(survey=SurveyOptions()), tools)
"""
