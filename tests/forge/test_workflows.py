"""The scaffolded pipelines on a real forge, with a bot that may push branches, a reviewer and a protected main.

The jobs of all three forges run against Gitea. Left out is what needs a runner: `uses:` steps and "Install m2g".
`gh` is a program that speaks to Gitea.
"""

from __future__ import annotations

import itertools
import json
import shlex
import sys
from pathlib import Path

import pytest

from tests.support import gh_for_gitea
from tests.support.apiserver.server import until
from tests.support.gitea import Gitea, git
from tests.support.pipelines import REGISTRY, Job, Run, Store, gitlab, render, scaffolded

pytestmark = [pytest.mark.forge, pytest.mark.usefixtures("kustomize")]
_NUMBER = itertools.count(1)
_DIFF = "<!-- m2g diff -->"
BRANCH = "m2g/prod/wine"


class Project:
    """A scaffolded repository on the forge. `bot` runs the workflows, `ben` reviews."""

    def __init__(self, forge: Gitea, folder: Path, name: str, ci: str) -> None:
        self.ci = ci
        self.ada, self.bot, self.ben = (forge.user(f"{name}-{one}") for one in ("ada", "bot", "ben"))
        self.repository = self.ada.create(name)
        self.store = Store(folder)
        for model in ("wine", "churn"):
            self.store.register(model, champion=1)
        answers = (f"repository_url={self.repository.url}", f"ci={ci}")
        self.repository.push(scaffolded(folder / "repository", self.store, *answers))
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

    def render(self, token: str = "") -> Run:
        """The pipeline `render`."""
        return render(self.clone, token or self.token)

    def check(self, number: int) -> bool:
        """Whether the pipeline `check` of a pull request passes. The forge shows its status."""
        head = self.repository.pull(number)["head"]
        clone = self.clone(head["ref"])
        if self.ci == "gitlab":
            done = gitlab(clone, "check", {"CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main"})
            passed = done.returncode == 0
        else:
            context = {
                "github.token": self.token, "github.event_name": "pull_request", "github.base_ref": "main",
                "github.event.pull_request.number": str(number),
                "github.event.pull_request.head.repo.full_name": "acme/models", "github.repository": "acme/models",
            }  # fmt: skip
            job = Job(clone, "check", context).run()
            passed = not job.failed
            if self.ci == "github":
                comment = Job(clone, "check", context, "comment", job).run()
                assert not comment.failed, comment.said
        state = "success" if passed else "failure"
        self.bot.ask("POST", f"{self.repository.path}/statuses/{head['sha']}", context="check", state=state)
        return passed

    def jobs(self) -> dict[str, str]:
        """Job → its status, of all runs."""
        found = self.ada.ask("GET", f"{self.repository.path}/actions/jobs")["jobs"]
        return {str(one["name"]): str(one["status"]) for one in found}

    def comments(self, number: int) -> list[str]:
        """What the workflow wrote below a pull request."""
        found = self.ada.pages(f"{self.repository.path}/issues/{number}/comments")
        return [str(one["body"]) for one in found if one["user"]["login"] == self.bot.name]


@pytest.fixture(params=["github", "gitlab", "gitea"])
def project(forge: Gitea, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project, and `gh` on PATH."""
    return start(forge, tmp_path, str(request.param), monkeypatch)


def start(forge: Gitea, folder: Path, ci: str, patch: pytest.MonkeyPatch) -> Project:
    made = Project(forge, folder, f"p{next(_NUMBER)}", ci)
    (folder / "bin").mkdir()
    gh = folder / "bin/gh"
    gh.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, "-I", gh_for_gitea.__file__])} "$@"\n')
    gh.chmod(0o755)
    patch.setenv("PATH", str(gh.parent), prepend=":")
    patch.setenv("GITEA", f"{forge.url}/api/v1{made.repository.path}")
    patch.setenv("GIT_ALLOW_PROTOCOL", "file:http")
    patch.setenv("NO_PROXY", "*")
    return made


def test_only_what_a_person_approved_is_merged(project: Project) -> None:
    done = project.render()
    assert not done.failed, done.said
    assert project.token not in done.said
    proposed = {one["head"]["ref"]: one for one in project.repository.pulls()}
    assert set(proposed) == {BRANCH, "m2g/prod/churn"}
    assert proposed[BRANCH]["user"]["login"] == project.bot.name
    assert "wine" in proposed[BRANCH]["body"]
    number = int(proposed[BRANCH]["number"])
    assert project.repository.merge(project.bot, number).status_code == 405

    assert project.check(number)
    if project.ci == "github":
        (comment,) = project.comments(number)
        assert comment.startswith(_DIFF)
    assert "approvals" in project.repository.merge(project.bot, number).text
    with pytest.raises(AssertionError, match="approve your own pull is not allowed"):
        project.repository.approve(project.bot, number)

    project.repository.approve(project.ben, number)
    project.store.move("wine", "champion", 2)
    moved = project.render()
    assert not moved.failed, moved.said
    assert {one["number"] for one in project.repository.pulls()} == {one["number"] for one in proposed.values()}
    assert project.check(number)
    if project.ci == "github":
        assert len(project.comments(number)) == 1
    assert "approvals" in project.repository.merge(project.ben, number).text  # the approval was for other commits
    project.repository.approve(project.ben, number)
    merged = project.repository.merge(project.ben, number)
    assert merged.is_success, merged.text
    assert '"version": "2"' in project.repository.read("models/wine/releases/prod.json")

    assert not project.render().failed
    tips, pulls = project.repository.tips(), project.repository.pulls("all")
    assert set(tips) == {"main", "m2g/prod/churn"}
    again = project.render()
    assert not again.failed, again.said
    assert "nothing to do" in again.said
    assert (project.repository.tips(), project.repository.pulls("all")) == (tips, pulls), "a second run changes nothing"


def test_a_hand_edit_of_a_person_fails_the_check_and_cannot_be_merged(project: Project) -> None:
    clone = project.clone()
    git(clone, "switch", "-q", "-c", "by-hand")
    (clone / "models/wine/overlays/prod").mkdir(parents=True)
    (clone / "models/wine/overlays/prod/kustomization.yaml").write_text("kind: Kustomization\n")
    git(clone, "add", "-A")
    git(clone, "commit", "-q", "-m", "by hand")
    git(clone, "push", "-q", project.repository.remote(project.ben), "HEAD:by-hand")
    number = project.repository.open(project.ben, "by-hand", "By hand")
    assert not project.check(number)
    assert project.repository.merge(project.ben, number).status_code == 405


@pytest.fixture
def gitea_project(forge: Gitea, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """What the jobs of all three have in common is shown with one."""
    return start(forge, tmp_path, "gitea", monkeypatch)


def test_a_persons_commit_on_the_branch_of_the_bot_stays(gitea_project: Project) -> None:
    project = gitea_project
    assert not project.render().failed
    clone = project.clone(BRANCH)
    (clone / "NOTES.md").write_text("mine\n")
    git(clone, "add", "-A")
    git(clone, "commit", "-q", "-m", "mine")
    git(clone, "push", "-q", project.repository.remote(project.ben), f"HEAD:{BRANCH}")
    mine = project.repository.tips()[BRANCH]
    project.store.move("wine", "champion", 2)
    done = project.render()
    assert not done.failed, done.said
    assert "not m2g's" in done.said
    assert project.repository.tips()[BRANCH] == mine


@pytest.mark.attack
def test_a_token_that_may_not_write_stops_the_run_and_is_not_shown(gitea_project: Project) -> None:
    token = gitea_project.bot.limited("read:repository")
    done = gitea_project.render(token)
    assert done.failed == ("Propose",)
    assert token not in done.said
    assert set(gitea_project.repository.tips()) == {"main"}


@pytest.mark.attack
def test_a_snapshot_that_was_changed_on_its_way_proposes_nothing(gitea_project: Project) -> None:
    """Whoever can write the file between the two jobs: a folder that m2g does not own, and an environment's lock."""
    project = gitea_project
    first = Job(project.clone(), "render", REGISTRY, "render").run()
    assert not first.failed, first.said
    file = first.temp / "snapshot.json"
    made = json.loads(file.read_text())
    evil = {"schema": 1, "python": "3.12", "server": "mlflow", "base": "evil", "platforms": ["linux/amd64"],
            "lock": "0" * 64, "requirements": []}  # fmt: skip
    for change in (
        {"entries": [{**made["entries"][0], "slug": "../.gitea/workflows"}]},
        {"environments": [{"environment": evil, "lock": "evil==1\n"}]},
        {"version": 2},
    ):
        file.write_text(json.dumps({**made, **change}))
        second = Job(project.clone(), "render", {"secrets.M2G_TOKEN": project.token}, "propose", first).run()
        assert second.failed == ["Propose"], (change, second.said)
        assert set(project.repository.tips()) == {"main"}


def test_gitea_itself_reads_the_workflows(gitea_project: Project) -> None:
    """It has no runner here, so the jobs wait: their names, what starts them, and which one needs which."""
    project = gitea_project
    project.ada.ask("POST", f"{project.repository.path}/actions/workflows/render.yml/dispatches", ref="main")
    clone = project.clone()
    git(clone, "switch", "-q", "-c", "change")
    git(clone, "commit", "-q", "--allow-empty", "-m", "change")
    git(clone, "push", "-q", project.repository.remote(project.ben), "HEAD:change")
    project.repository.open(project.ben, "change", "Change")
    until(lambda: len(project.jobs()) == 3, "Gitea to plan the jobs", 60)
    assert project.jobs() == {"check": "queued", "render": "queued", "propose": "waiting"}


def test_the_bot_cannot_push_to_main(gitea_project: Project) -> None:
    project = gitea_project
    clone = project.clone()
    git(clone, "commit", "-q", "--allow-empty", "-m", "straight")
    remote = project.repository.url.replace("http://", f"http://{project.bot.name}:{project.token}@")
    assert "protected branch" in git(clone, "push", remote, "HEAD:main", code=1)
