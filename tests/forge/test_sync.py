"""`m2g sync` on a real Gitea: from a moved alias to a merge, and everything that people do in between."""

from __future__ import annotations

import secrets
import threading
from pathlib import Path

import pytest

from m2g.core.finding import Finding
from m2g.delivery.marker import Marker, read_marker
from m2g.delivery.values import EDITED
from tests.support.apiserver.server import until
from tests.support.fleet import CONFIG
from tests.support.gitea import Gitea, git
from tests.support.gitea_world import GiteaWorld
from tests.support.sync_world import actions, of

pytestmark = [pytest.mark.forge, pytest.mark.usefixtures("kustomize")]
BRANCH = "m2g/prod/wine"


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


@pytest.mark.attack
def test_a_failed_smoke_test_is_in_the_description_and_nothing_of_it_acts(world: GiteaWorld) -> None:
    words = "m2g smoke: wine version 2 failed: @bob <!-- m2g --> ![x](http://evil) `x` ::add-mask::x"
    world.findings = (Finding(rule="smoke-failed", model="wine", environment="prod", message=words),)
    world.move("wine", champion="2")
    world.sync()
    (pull,) = world.pulls()
    (line,) = [line for line in pull["body"].splitlines() if "m2g smoke" in line]
    assert line.startswith("> note: `")
    assert "@bob" not in line
    assert read_marker(pull["body"]) is not None


@pytest.mark.attack
def test_what_a_smoke_test_refused_is_never_merged_without_a_person(
    forge: Gitea, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_ALLOW_PROTOCOL", "file:http")
    monkeypatch.setenv("NO_PROXY", "*")
    world = GiteaWorld(forge, tmp_path, f"n{secrets.token_hex(4)}", f"{CONFIG}proposals: {{autoMerge: [prod]}}\n")
    monkeypatch.setenv("M2G_TOKEN", world.token)
    world.repository.protect(enable_push=True, enable_status_check=True, status_check_contexts=["ci"])
    world.findings = (Finding(rule="smoke-failed", model="wine", environment="prod", message="it failed"),)
    world.move("wine", champion="2")
    world.move("churn", champion="3")
    world.sync()
    asked = {one["head"]["ref"]: (read_marker(one["body"]) or Marker()).merge for one in world.pulls("all")}
    assert asked == {BRANCH: "", "m2g/prod/churn": "asked"}
