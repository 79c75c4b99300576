"""The branch of an edit that a person asked for: made once, replaced in place, never over a commit of somebody else."""

from __future__ import annotations

from pathlib import Path

import pytest

from m2g.changes.hold import HoldNote, list_hold_edits
from m2g.changes.update import RenderOptions, update
from m2g.commands import validate
from m2g.core.errors import InputError
from m2g.core.proposal_types import Proposals
from m2g.core.results import ChangeKind
from m2g.delivery.edits import Edited, EditTools, propose_edit
from m2g.delivery.values import Moved, Proposal
from m2g.forge.plain import PlainGit
from m2g.git.remote import find_remote
from m2g.git.worktree import open_worktree
from m2g.report.review_markdown import render_markdown
from m2g.repository.edit import edit_file
from tests.support.git_repository import commit, git
from tests.support.sync_world import SyncWorld

pytestmark = pytest.mark.usefixtures("kustomize")
BRANCH = "m2g-edit/prod/wine"


@pytest.fixture
def world(tmp_path: Path) -> SyncWorld:
    return SyncWorld(tmp_path)


def hold(world: SyncWorld, version: str) -> Proposal:
    """Propose to hold a version in prod."""

    def edit(place: Path) -> Edited:
        file = "models/wine/model.yaml"
        edit_file(place, file, list_hold_edits("prod", version, HoldNote()))
        done = update(place, RenderOptions(), open_registry=lambda config: world.registry)
        moved = Moved(kind=ChangeKind.CHANGED, slug="wine", model="wine", environment="prod", before="1", after=version)
        files = (file, *(one.path for one in done.files))
        return Edited(moved=moved, files=files, text="Ada asked for it.", rules=Proposals())

    tools = EditTools(
        edit=edit,
        validate=lambda place, scope: validate.validate(place, validate.ValidateOptions(scope=scope)),
        describe=render_markdown,
        open_forge=lambda rules: PlainGit(),
    )
    with open_worktree(world.clone, find_remote(world.clone)) as worktree:
        return propose_edit(worktree, "", tools)


def test_an_edit_is_a_branch_that_sync_leaves_alone(world: SyncWorld) -> None:
    assert hold(world, "2").title == "wine (prod): 1 → 2"
    tips = world.tips()
    assert tips.keys() == {"main", BRANCH}
    assert "version: 2" in world.read(BRANCH, "models/wine/model.yaml")
    assert world.record(BRANCH, "wine", "prod")["version"] == "2"
    hold(world, "2")
    world.sync()
    assert world.tips() == tips
    hold(world, "3")
    assert world.record(BRANCH, "wine", "prod")["version"] == "3"
    assert world.tips().keys() == {"main", BRANCH}


@pytest.mark.attack
def test_a_commit_of_a_person_is_not_overwritten(world: SyncWorld, tmp_path: Path) -> None:
    hold(world, "2")
    person = tmp_path / "person"
    git(tmp_path, "clone", "-q", "-b", BRANCH, world.remote, str(person))
    (person / "note.txt").write_text("mine\n")
    commit(person, "mine")
    git(person, "push", "-q", "origin", "HEAD")
    tips = world.tips()
    with pytest.raises(InputError, match="a commit that is not m2g's") as caught:
        hold(world, "3")
    assert world.tips() == tips
    git(world.clone, *caught.value.hint.partition("git ")[2].split())
    hold(world, "3")
    assert world.record(BRANCH, "wine", "prod")["version"] == "3"
