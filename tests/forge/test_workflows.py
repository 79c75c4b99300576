"""The scaffolded GitHub workflows on a real forge, with a bot that may push branches, a reviewer and a protected main.

`gh` is a program that speaks to Gitea. Left out is what needs GitHub itself: `uses:` steps and "Install m2g".
"""

from __future__ import annotations

import itertools
import shlex
import sys
from pathlib import Path

import pytest

from tests.support import gh_for_gitea
from tests.support.gitea import Gitea, git
from tests.support.pipelines import Job, Store, scaffolded

pytestmark = [pytest.mark.forge, pytest.mark.usefixtures("kustomize")]
_NUMBER = itertools.count(1)
_DIFF = "<!-- m2g diff -->"


class Project:
    """A scaffolded repository on the forge. `bot` runs the workflows, `ben` reviews."""

    def __init__(self, forge: Gitea, folder: Path, name: str) -> None:
        self.ada, self.bot, self.ben = (forge.user(f"{name}-{one}") for one in ("ada", "bot", "ben"))
        self.repository = self.ada.create(name)
        self.store = Store(folder)
        for model in ("wine", "churn"):
            self.store.register(model, champion=1)
        self.repository.push(scaffolded(folder / "repository", self.store, f"repository_url={self.repository.url}"))
        self.repository.admit(self.bot)
        self.repository.admit(self.ben)
        self.repository.protect(
            required_approvals=1,
            enable_approvals_whitelist=True,
            approvals_whitelist_username=[self.ben.name],
            dismiss_stale_approvals=True,
            enable_status_check=True,
            status_check_contexts=["check"],
            block_admin_merge_override=True,
        )
        self.token = self.bot.limited("write:repository", "write:issue")
        self._folder = folder
        self._clones = itertools.count(1)

    def clone(self, branch: str = "main") -> Path:
        """What actions/checkout leaves: all branches, no credential."""
        to = self._folder / f"clone-{next(self._clones)}"
        git(self._folder, "clone", "-q", "--branch", branch, self.repository.url, str(to))
        return to

    def render(self, token: str = "") -> Job:
        """The workflow `render`."""
        context = {"github.token": "t", "github.actor": "ada", "secrets.M2G_TOKEN": token or self.token}
        return Job(self.clone(), "render", context).run()

    def check(self, number: int) -> Job:
        """The workflow `check` of a pull request, and the status that the forge shows for it."""
        head = self.repository.pull(number)["head"]
        context = {
            "github.token": self.token, "github.event_name": "pull_request", "github.base_ref": "main",
            "github.event.pull_request.number": str(number),
            "github.event.pull_request.head.repo.full_name": "acme/models", "github.repository": "acme/models",
        }  # fmt: skip
        clone = self.clone(head["ref"])
        job, comment = Job(clone, "check", context).run(), Job(clone, "check", context, "comment").run()
        assert not comment.failed, comment.said
        state = "failure" if job.failed else "success"
        self.bot.ask("POST", f"{self.repository.path}/statuses/{head['sha']}", context="check", state=state)
        return job

    def comments(self, number: int) -> list[str]:
        """What the workflow wrote below a pull request."""
        found = self.ada.pages(f"{self.repository.path}/issues/{number}/comments")
        return [str(one["body"]) for one in found if one["user"]["login"] == self.bot.name]


@pytest.fixture
def project(forge: Gitea, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project, and `gh` on PATH."""
    made = Project(forge, tmp_path, f"p{next(_NUMBER)}")
    (tmp_path / "bin").mkdir()
    gh = tmp_path / "bin/gh"
    gh.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, "-I", gh_for_gitea.__file__])} "$@"\n')
    gh.chmod(0o755)
    monkeypatch.setenv("PATH", str(gh.parent), prepend=":")
    monkeypatch.setenv("GITEA", f"{forge.url}/api/v1{made.repository.path}")
    monkeypatch.setenv("GIT_ALLOW_PROTOCOL", "file:http")
    return made


def test_only_what_a_person_approved_is_merged(project: Project) -> None:
    job = project.render()
    assert not job.failed, job.said
    (proposed,) = project.repository.pulls()
    number = int(proposed["number"])
    assert proposed["user"]["login"] == project.bot.name
    assert "wine" in proposed["body"]
    assert project.repository.merge(project.bot, number).status_code == 405

    check = project.check(number)
    assert not check.failed, check.said
    (comment,) = project.comments(number)
    assert comment.startswith(_DIFF)
    assert "approvals" in project.repository.merge(project.bot, number).text
    with pytest.raises(AssertionError, match="approve your own pull is not allowed"):
        project.repository.approve(project.bot, number)

    project.repository.approve(project.ben, number)
    project.store.move("wine", "champion", 2)
    moved = project.render()
    assert not moved.failed, moved.said
    assert [one["number"] for one in project.repository.pulls()] == [number]
    assert not project.check(number).failed
    assert len(project.comments(number)) == 1
    assert "approvals" in project.repository.merge(project.ben, number).text  # the approval was for other commits
    project.repository.approve(project.ben, number)
    merged = project.repository.merge(project.ben, number)
    assert merged.is_success, merged.text
    assert '"version": "2"' in project.repository.read("models/wine/releases/prod.json")

    again = project.render()
    assert not again.failed, again.said
    assert "Push" in again.skipped
    assert project.repository.pulls() == []


def test_a_hand_edit_of_a_person_fails_the_check_and_cannot_be_merged(project: Project) -> None:
    clone = project.clone()
    git(clone, "switch", "-q", "-c", "by-hand")
    (clone / "models/wine/overlays/prod").mkdir(parents=True)
    (clone / "models/wine/overlays/prod/kustomization.yaml").write_text("kind: Kustomization\n")
    git(clone, "add", "-A")
    git(clone, "commit", "-q", "-m", "by hand")
    git(clone, "push", "-q", project.repository.remote(project.ben), "HEAD:by-hand")
    number = project.repository.open(project.ben, "by-hand", "By hand")
    assert project.check(number).failed
    assert project.repository.merge(project.ben, number).status_code == 405


def test_a_persons_commit_on_the_branch_of_the_bot_stays(project: Project) -> None:
    assert not project.render().failed
    clone = project.clone("m2g/render")
    (clone / "NOTES.md").write_text("mine\n")
    git(clone, "add", "-A")
    git(clone, "commit", "-q", "-m", "mine")
    git(clone, "push", "-q", project.repository.remote(project.ben), "HEAD:m2g/render")
    mine = project.repository.tips()["m2g/render"]
    project.store.move("wine", "champion", 2)
    job = project.render()
    assert job.failed == ["Push"]
    assert "has commits by other authors" in job.said
    assert project.repository.tips()["m2g/render"] == mine


def test_a_token_that_may_not_write_stops_the_run_and_is_not_shown(project: Project) -> None:
    token = project.bot.limited("read:repository")
    job = project.render(token)
    assert job.failed == ["Push"]
    assert token not in job.said
    assert "m2g/render" not in project.repository.tips()


def test_the_bot_cannot_push_to_main(project: Project) -> None:
    clone = project.clone()
    git(clone, "commit", "-q", "--allow-empty", "-m", "straight")
    remote = project.repository.url.replace("http://", f"http://{project.bot.name}:{project.token}@")
    assert "protected branch" in git(clone, "push", remote, "HEAD:main", code=1)
