"""A person goes back at 3 a.m. while m2g runs again and again, and the forge merges by itself: it stays reverted."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from m2g.core.model import RegisteredModel
from tests.support.apiserver.server import until
from tests.support.fleet import CONFIG
from tests.support.gitea import Gitea, git
from tests.support.gitea_world import GiteaWorld
from tests.support.sync_world import actions, of

pytestmark = [pytest.mark.forge, pytest.mark.usefixtures("kustomize")]


class Night(GiteaWorld):
    """`prod` merges by itself as soon as the check `ci` has passed, which `main` requires."""

    def start(self) -> None:
        """Protect the branch: who may write may push, but a pull request needs the check."""
        self.repository.protect("main", enable_push=True, enable_status_check=True, status_check_contexts=["ci"])

    def check(self) -> None:
        """CI is green for all that is proposed."""
        for pull in self.pulls():
            where = f"{self.repository.path}/statuses/{pull['head']['sha']}"
            self.ada.ask("POST", where, state="success", context="ci")

    def release(self, name: str, version: str) -> None:
        """An alias moves, m2g proposes it, CI passes, the forge merges, m2g cleans up."""
        self.move(name, champion=version)
        self.sync()
        self.check()
        until(lambda: self.pulls() == [], "Gitea to merge by itself", 30)
        until(lambda: self.version(name) == version, "the merge", 30)
        self.sync()
        assert list(self.tips()) == ["main"]

    def version(self, name: str) -> str:
        """What main says that prod runs; empty for nothing."""
        git(self.clone, "fetch", "-q", self.repository.remote(self.ada), "main")
        listed = git(self.clone, "ls-tree", "-r", "--name-only", "FETCH_HEAD", f"models/{name}/releases/prod.json")
        return str(self.record("main", name, "prod")["version"]) if listed else ""

    def revert(self, folder: Path) -> None:
        """As the SRE: take back the last commit of main."""
        place = folder / secrets.token_hex(4)
        git(folder, "clone", "-q", self.repository.remote(self.ben), str(place))
        merge = ["-m", "1"] if len(git(place, "log", "-1", "--format=%P").split()) > 1 else []
        git(place, "revert", "--no-edit", *merge, "HEAD")
        git(place, "push", "-q", "origin", "HEAD:main")

    def stays(self, name: str, version: str) -> None:
        """m2g runs again and again; nothing moves and nothing is proposed."""
        for _ in range(3):
            result = self.sync()
            self.check()
            assert self.pulls() == []
            assert "held-by-revert" in {finding.rule for finding in result.findings if finding.model == name}
        assert self.version(name) == version
        assert list(self.tips()) == ["main"]


@pytest.fixture
def night(forge: Gitea, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Night:
    monkeypatch.setenv("GIT_ALLOW_PROTOCOL", "file:http")
    monkeypatch.setenv("NO_PROXY", "*")
    made = Night(forge, tmp_path, f"n{secrets.token_hex(4)}", f"{CONFIG}proposals: {{autoMerge: [prod]}}\n")
    monkeypatch.setenv("M2G_TOKEN", made.token)
    made.start()
    return made


@pytest.mark.timeout(600)
def test_it_stays_reverted_while_the_bot_goes_on(night: Night, tmp_path: Path) -> None:
    night.registry.last = 9
    night.release("wine", "2")
    night.release("wine", "3")
    night.revert(tmp_path)
    night.stays("wine", "2")
    night.move("wine", champion="4")
    night.stays("wine", "2")
    night.release("churn", "3")  # others go on


@pytest.mark.timeout(600)
def test_what_waits_to_be_merged_is_not_merged_over_a_revert(night: Night, tmp_path: Path) -> None:
    night.release("wine", "2")
    night.move("wine", champion="3")
    assert actions(night.sync()) == {"m2g/prod/wine": "create"}
    night.revert(tmp_path)
    night.check()  # the forge may merge now: what it would merge conflicts with the revert
    result = night.sync()
    assert actions(result) == {"m2g/prod/wine": "close"}
    assert "somebody went back from version 2 to 1" in of(result, "m2g/prod/wine").why
    night.stays("wine", "1")


@pytest.mark.timeout(600)
def test_a_first_release_that_was_taken_back_stays_away(night: Night, tmp_path: Path) -> None:
    night.registry.known.append(RegisteredModel(name="fresh", aliases={}))
    night.release("fresh", "1")
    night.revert(tmp_path)
    night.stays("fresh", "")
    night.move("fresh", champion="2")
    night.stays("fresh", "")


@pytest.mark.timeout(600)
def test_a_superseded_proposal_is_merged_only_as_it_is_now(night: Night) -> None:
    """Another environment than prod, or a change that is not routine, is not merged by the forge."""
    night.move("wine", champion="2", challenger="2")
    assert actions(night.sync()) == {"m2g/dev/wine": "create", "m2g/prod/wine": "create"}
    night.move("wine", champion="3")
    assert actions(night.sync())["m2g/prod/wine"] == "update"
    assert night.version("wine") == "1"
    night.check()
    until(lambda: night.version("wine") == "3", "Gitea to merge by itself", 30)
    until(lambda: [one["head"]["ref"] for one in night.pulls()] == ["m2g/dev/wine"], "Gitea to say so", 30)


def test_a_person_who_stops_the_merge_is_not_overruled(night: Night) -> None:
    night.move("wine", champion="2")
    night.sync()
    (pull,) = night.pulls()
    night.ben.ask("DELETE", f"{night.repository.path}/pulls/{pull['number']}/merge")
    assert actions(night.sync()) == {"m2g/prod/wine": "leave"}
    night.check()
    night.sync()
    assert night.version("wine") == "1"


def test_a_decline_holds_when_the_grouping_changes(night: Night) -> None:
    night.move("wine", champion="2")
    night.sync()
    (pull,) = night.pulls()
    night.close(pull["number"])
    night.sync()
    git(night.clone, "pull", "-q", night.repository.remote(night.ada), "main")
    (night.clone / "m2g.yaml").write_text(f"{CONFIG}proposals: {{per: model}}\n")
    git(night.clone, "commit", "-qam", "grouping")
    git(night.clone, "push", "-q", night.repository.remote(night.ada), "HEAD:main")
    result = night.sync()
    assert night.pulls() == []
    assert f"declined in #{pull['number']}" in of(result, "m2g/model/wine").why
    night.sync(reopen=["wine"])
    assert [one["head"]["ref"] for one in night.pulls()] == ["m2g/model/wine"]
