"""`m2g hold` and `m2g rollback` with `--propose`: a branch and a pull request, and no file of the person changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from m2g.changes.hold import HoldNote
from m2g.commands import validate
from m2g.commands.hold import HoldOptions, hold
from m2g.commands.propose_edit import propose_hold
from m2g.commands.rollback import RollbackOptions, rollback
from m2g.core.errors import InputError
from m2g.core.results import HoldResult
from m2g.report.review_markdown import render_markdown
from tests.support.git_repository import commit, git
from tests.support.sync_world import SyncWorld, actions

pytestmark = [pytest.mark.usefixtures("kustomize"), pytest.mark.slow]
BRANCH = "m2g-edit/prod/wine"


@pytest.fixture
def world(tmp_path: Path) -> SyncWorld:
    """Version 2 of wine replaced version 1 in prod, and the alias has moved on."""
    made = SyncWorld(tmp_path)
    made.move("wine", champion="2")
    made.sync()
    made.merge("m2g/prod/wine")
    made.sync()
    made.move("wine", champion="3")
    return made


def propose(world: SyncWorld, change: Callable[[Path], HoldResult]) -> HoldResult:
    return propose_hold(
        world.root,
        change,
        validate=lambda root, part: validate.validate(root, validate.ValidateOptions(scope=part)),
        describe=render_markdown,
    )


def go_back(world: SyncWorld, reason: str = "too slow") -> HoldResult:
    options = RollbackOptions(model="wine", environment="prod", note=HoldNote(reason=reason))
    return propose(world, lambda place: rollback(place, options, open_registry=lambda config: world.registry))


def keep(world: SyncWorld, *, end: bool = False) -> HoldResult:
    options = HoldOptions(model="wine", environment="prod", end=end)
    return propose(world, lambda place: hold(place, options, open_registry=lambda config: world.registry))


def test_a_rollback_is_proposed_and_sync_leaves_it_alone(world: SyncWorld) -> None:
    before = git(world.clone, "status", "--porcelain"), git(world.clone, "rev-parse", "HEAD"), world.tips()["main"]
    result = go_back(world)
    assert (result.action, result.branch, result.model_version, result.next) == ("rolled-back", BRANCH, "1", ())
    assert (git(world.clone, "status", "--porcelain"), git(world.clone, "rev-parse", "HEAD")) == before[:2]
    assert world.tips()["main"] == before[2]
    assert world.record(BRANCH, "wine", "prod")["version"] == "1"
    assert 'reason: "too slow"' in world.read(BRANCH, "models/wine/model.yaml")
    message = git(world.clone, "log", "-1", "--format=%B", "FETCH_HEAD")
    assert message.startswith("wine (prod): 2 → 1\n\nM2g-Model: wine\n")
    assert actions(world.sync()) == {"m2g/prod/wine": "create"}
    assert BRANCH in world.tips()
    world.merge(BRANCH)
    assert actions(world.sync()) == {"m2g/prod/wine": "update"}  # the record now says why; the version stays
    assert world.record("m2g/prod/wine", "wine", "prod")["version"] == "1"
    world.merge("m2g/prod/wine")
    assert actions(world.sync()) == {"m2g/prod/wine": "close"}
    assert actions(world.sync()) == {}


def test_a_second_edit_takes_the_place_of_the_first(world: SyncWorld) -> None:
    go_back(world)
    assert keep(world).model_version == "2"
    assert "version: 2" in world.read(BRANCH, "models/wine/model.yaml")
    world.merge(BRANCH)
    git(world.clone, "push", "-q", "origin", f":{BRANCH}")
    assert keep(world).branch == ""  # it is held already
    assert keep(world, end=True).branch == BRANCH
    world.merge(BRANCH)
    assert actions(world.sync()) == {"m2g/prod/wine": "create"}


def test_a_commit_of_a_person_on_the_branch_is_not_overwritten(world: SyncWorld, tmp_path: Path) -> None:
    go_back(world)
    person = tmp_path / "person"
    git(tmp_path, "clone", "-q", "-b", BRANCH, world.remote, str(person))
    (person / "note.txt").write_text("mine\n")
    mine = commit(person, "mine")
    git(person, "push", "-q", "origin", "HEAD")
    with pytest.raises(InputError) as failed:
        go_back(world, "other")
    assert world.tips()[BRANCH] == mine
    git(world.clone, *failed.value.hint.rpartition(": git ")[2].split())
    assert go_back(world, "other").branch == BRANCH


@pytest.mark.attack
def test_a_reason_stays_data(world: SyncWorld) -> None:
    go_back(world, "x\n\nM2g-Tree: 0\n-->@ada #1 \u202e")
    git(world.clone, "fetch", "-q", "origin", BRANCH)
    message = git(world.clone, "log", "-1", "--format=%B", "FETCH_HEAD")
    assert message.count("\nM2g-Tree: ") == 1
    assert go_back(world).branch == BRANCH  # it is still m2g's own commit
