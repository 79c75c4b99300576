"""The file between the two halves of `m2g sync`: one that is old, and one whose smoke test did not end."""

from __future__ import annotations

from pathlib import Path

import pytest

from m2g import cli
from m2g.commands import validate
from m2g.core.cache import Cache
from m2g.core.results import Walls
from m2g.delivery.loop import LoopOptions, Tools, run_loop
from m2g.delivery.survey import SurveyOptions
from m2g.forge.plain import PlainGit
from m2g.git.remote import find_remote
from m2g.git.worktree import open_worktree
from m2g.report.review_markdown import render_markdown
from m2g.repository import load
from m2g.repository.state import Scope
from m2g.resolution.resolve import resolve
from m2g.resolution.snapshot import Snapshot, apply_snapshot, read_snapshot, settle, take_snapshot, write_snapshot
from tests.support.fleet import CONFIG
from tests.support.git_repository import git
from tests.support.sync_world import SyncWorld, actions

pytestmark = [pytest.mark.attack, pytest.mark.usefixtures("kustomize")]


def _take(world: SyncWorld) -> Snapshot:
    repository = load.read_repository(world.clone)
    with Cache(world.folder / "cache") as cache:
        found = resolve(repository, world.registry, Scope(), cache)
    return take_snapshot(world.clone, git(world.clone, "rev-parse", "HEAD"), repository, found)


def _propose(world: SyncWorld, snapshot: Snapshot) -> dict[str, str]:
    tools = Tools(
        resolve=lambda folder, base: lambda repository, cache: apply_snapshot(folder, snapshot, repository, Scope()),
        validate=lambda root, part: validate.validate(root, validate.ValidateOptions(scope=part)),
        describe=render_markdown,
        open_forge=lambda rules: PlainGit(),
    )
    with open_worktree(world.root, find_remote(world.root)) as worktree:
        return actions(run_loop(worktree, LoopOptions(survey=SurveyOptions()), tools))


def test_an_old_snapshot_does_not_undo_a_revert(tmp_path: Path) -> None:
    world = SyncWorld(tmp_path, f"{CONFIG}proposals: {{direct: [prod]}}\n")
    world.move("wine", champion="2")
    snapshot = _take(world)
    world.settle()  # version 2 is deployed
    git(world.clone, "revert", "--no-edit", "HEAD")  # a person takes it back
    git(world.clone, "push", "-q", "origin", "HEAD:main")
    assert _propose(world, snapshot) == {}
    assert world.record("main", "wine", "prod")["version"] == "1"


def test_a_smoke_test_that_does_not_end_is_one_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = SyncWorld(tmp_path, f"{CONFIG}proposals: {{direct: [prod]}}\n")
    world.move("wine", champion="2")
    file = tmp_path / "snapshot.json"
    write_snapshot(file, _take(world))
    walls = Walls(problem="none here")
    monkeypatch.setattr("m2g.commands.smoke.probe_walls", lambda: walls)
    arguments = ["-C", str(world.clone), "smoke", "--from", str(file), "--require-isolation"]
    assert cli.run(lambda: cli.group.main(arguments, standalone_mode=False)) != 0
    assert "main" not in _propose(world, read_snapshot(file))
    assert world.record("main", "wine", "prod")["version"] == "1"
    settle(file, [])  # the next run of the job tests it
    assert _propose(world, read_snapshot(file)) == {"main": "commit"}
