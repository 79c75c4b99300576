"""A: a branch with the name of a proposal, which looks like m2g's, on top of commits of somebody else."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import msgspec
import pytest

from m2g.forge import Capabilities, Draft, Pull, PullState
from tests.support.fleet import CONFIG
from tests.support.git_repository import commit, git
from tests.support.sync_world import SyncWorld, actions

pytestmark = [pytest.mark.attack, pytest.mark.usefixtures("kustomize")]
BRANCH = "m2g/prod/wine"


class Recorder:
    """A forge that remembers which commits it was asked to merge."""

    capabilities = Capabilities(name="recorder")

    def __init__(self) -> None:
        self.pulls: dict[str, Pull] = {}
        self.merging: dict[str, str] = {}

    def list_open(self, prefix: str) -> list[Pull]:
        return [pull for pull in self.pulls.values() if pull.branch.startswith(prefix)]

    def list_closed(self, prefix: str, branches: object) -> list[Pull]:
        return []

    def list_push_options(self, title: str, base: str, labels: object) -> tuple[str, ...]:
        return ()

    def describe_new(self, branch: str, base: str) -> str:
        return ""

    def open(self, draft: Draft) -> Pull:
        number = len(self.pulls) + 1
        pull = Pull(
            number=number, url="", branch=draft.branch, base=draft.base, state=PullState.OPEN, title=draft.title,
            body=draft.body, labels=tuple(draft.labels), head="", id=str(number), age=1e6,
        )  # fmt: skip
        self.pulls[draft.branch] = pull
        return pull

    def read(self, pull: Pull) -> Pull:
        return self.pulls[pull.branch]

    def update(self, pull: Pull, *, title: str, body: str) -> None:
        self.pulls[pull.branch] = msgspec.structs.replace(pull, title=title, body=body)

    def close(self, pull: Pull) -> None: ...

    def comment(self, pull: Pull, text: str, marker: str) -> None: ...

    def label(self, pull: Pull, labels: object) -> None: ...

    def merge_when_allowed(self, pull: Pull, head: str) -> None:
        self.merging[pull.branch] = head

    def stop_merge(self, pull: Pull) -> None:
        self.merging.pop(pull.branch, None)


def _forge(clone: Path, parent: str, tree: str) -> str:
    """A commit as m2g makes it, by anybody: nothing in it is secret."""
    when = {"GIT_AUTHOR_DATE": "1700000000 +0000", "GIT_COMMITTER_DATE": "1700000000 +0000"}
    who = {f"GIT_{role}_{what}": "m2g" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    text = f"wine (prod): 1 → 2\n\nM2g-Base: {parent}\nM2g-Tree: {tree}\n"
    return subprocess.run(
        ["git", "commit-tree", tree, "-p", parent, "-m", text],
        cwd=clone, env={**os.environ, **when, **who}, capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip


def test_a_commit_of_m2g_on_top_of_other_commits_is_not_m2gs(tmp_path: Path) -> None:
    world = SyncWorld(tmp_path, f"{CONFIG}proposals: {{autoMerge: [prod]}}\n")
    world.move("wine", champion="2")
    world.sync()  # what m2g would propose is public
    git(world.clone, "fetch", "-q", "origin", BRANCH)
    m2gs = git(world.clone, "rev-parse", "FETCH_HEAD")
    git(world.clone, "switch", "-q", "-c", "evil", "origin/main")
    (world.clone / "models/churn/model.yaml").write_text("settings: {minReplicas: 0, maxReplicas: 99}\n")
    evil = commit(world.clone, "evil")
    git(world.clone, "cherry-pick", m2gs)
    forged = _forge(world.clone, evil, git(world.clone, "rev-parse", "HEAD^{tree}"))
    git(world.clone, "push", "-q", "--force", "origin", f"{forged}:refs/heads/{BRANCH}")

    forge = Recorder()
    world.forge = lambda rules: forge
    result = world.sync()
    assert forge.merging.get(BRANCH) != forged, actions(result)
    head = world.tips()[BRANCH]
    git(world.clone, "fetch", "-q", "origin", BRANCH)
    changed = git(world.clone, "diff", "--name-only", f"origin/main...{head}").splitlines()
    assert "models/churn/model.yaml" not in changed
    assert forge.merging == {BRANCH: head}


def test_the_forge_does_not_merge_what_somebody_else_has_added(tmp_path: Path) -> None:
    """GitHub goes on with an automatic merge if somebody pushes who may write."""
    world = SyncWorld(tmp_path, f"{CONFIG}proposals: {{autoMerge: [prod]}}\n")
    forge = Recorder()
    world.forge = lambda rules: forge
    world.move("wine", champion="2")
    world.sync()
    assert forge.merging == {BRANCH: world.tips()[BRANCH]}
    git(world.clone, "fetch", "-q", "origin", BRANCH)
    git(world.clone, "switch", "-q", "--detach", "FETCH_HEAD")
    (world.clone / "models/churn/model.yaml").write_text("settings: {maxReplicas: 99}\n")
    commit(world.clone, "more")
    git(world.clone, "push", "-q", "origin", f"HEAD:refs/heads/{BRANCH}")
    for _ in range(2):
        assert actions(world.sync())[BRANCH] == "leave"
        assert forge.merging == {}
