"""`m2g sync` with plain Git: branches of their own, superseded in place, removed when nothing is left."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from m2g.core.finding import Finding
from m2g.forge.plain import PlainGit
from m2g.repository.state import Scope
from tests.support.fleet import CONFIG, model
from tests.support.git_repository import commit, git
from tests.support.sync_world import SyncWorld, actions, of

pytestmark = [pytest.mark.usefixtures("kustomize"), pytest.mark.slow]


@pytest.fixture
def world(tmp_path: Path) -> SyncWorld:
    return SyncWorld(tmp_path)


def test_a_moved_alias_becomes_a_branch_and_a_second_run_changes_nothing(world: SyncWorld) -> None:
    assert actions(world.sync()) == {}
    world.move("wine", champion="2")
    before = git(world.clone, "status", "--porcelain"), git(world.clone, "rev-parse", "HEAD")
    assert actions(world.sync()) == {"m2g/prod/wine": "create"}
    tips = world.tips()
    assert world.record("m2g/prod/wine", "wine", "prod")["version"] == "2"
    assert world.record("m2g/prod/wine", "wine", "dev")["version"] == "1"
    assert actions(world.sync()) == {"m2g/prod/wine": "leave"}
    assert world.tips() == tips
    assert (git(world.clone, "status", "--porcelain"), git(world.clone, "rev-parse", "HEAD")) == before


def test_a_newer_version_supersedes_in_place_and_a_merge_ends_it(world: SyncWorld) -> None:
    world.move("wine", champion="2", challenger="3")
    assert actions(world.sync()) == {"m2g/dev/wine": "create", "m2g/prod/wine": "create"}
    world.move("wine", champion="3")
    assert actions(world.sync()) == {"m2g/dev/wine": "leave", "m2g/prod/wine": "update"}
    assert world.record("m2g/prod/wine", "wine", "prod")["version"] == "3"
    world.merge("m2g/prod/wine")
    result = world.sync()
    assert actions(result) == {"m2g/dev/wine": "update", "m2g/prod/wine": "close"}
    assert list(world.tips()) == ["m2g/dev/wine", "main"]
    world.merge("m2g/dev/wine")
    assert actions(world.sync()) == {"m2g/dev/wine": "close"}
    assert list(world.tips()) == ["main"]
    assert actions(world.sync()) == {}


def test_merging_one_model_does_not_touch_the_proposal_of_another(world: SyncWorld) -> None:
    world.move("wine", champion="2")
    world.move("churn", champion="3")
    world.sync()
    tip = world.tips()["m2g/prod/churn"]
    world.merge("m2g/prod/wine")
    assert actions(world.sync()) == {"m2g/prod/churn": "leave", "m2g/prod/wine": "close"}
    assert world.tips()["m2g/prod/churn"] == tip
    world.merge("m2g/prod/churn")
    assert actions(world.sync()) == {"m2g/prod/churn": "close"}


def test_a_difference_that_vanished_removes_the_branch(world: SyncWorld) -> None:
    world.move("wine", champion="2")
    world.sync()
    world.move("wine", champion="1")
    result = world.sync()
    assert actions(result) == {"m2g/prod/wine": "close"}
    assert "nothing left to change" in of(result, "m2g/prod/wine").why
    assert list(world.tips()) == ["main"]


def test_a_branch_with_a_commit_of_a_person_is_left(world: SyncWorld, tmp_path: Path) -> None:
    world.move("wine", champion="2")
    world.sync()
    person = tmp_path / "person"
    git(tmp_path, "clone", "-q", "-b", "m2g/prod/wine", world.remote, str(person))
    (person / "note.txt").write_text("mine\n")
    mine = commit(person, "mine")
    git(person, "push", "-q", "origin", "HEAD")
    world.move("wine", champion="3")
    result = world.sync()
    assert actions(result) == {"m2g/prod/wine": "leave"}
    assert "not m2g's" in of(result, "m2g/prod/wine").why
    assert world.tips()["m2g/prod/wine"] == mine
    world.move("wine", champion="1")
    assert actions(world.sync()) == {"m2g/prod/wine": "leave"}
    assert world.tips()["m2g/prod/wine"] == mine


def test_a_run_for_one_model_leaves_the_proposals_of_others(world: SyncWorld) -> None:
    world.move("wine", champion="2")
    world.move("churn", champion="3")
    world.sync()
    world.move("wine", champion="1")
    scope = Scope(models=frozenset({"wine"}), environments=frozenset({"prod"}))
    assert actions(world.sync(scope=scope)) == {"m2g/prod/churn": "leave", "m2g/prod/wine": "close"}


def test_a_registry_that_cannot_tell_closes_nothing(world: SyncWorld) -> None:
    world.move("wine", champion="2")
    world.sync()
    world.move("wine", champion="3")
    world.registry.problems["wine", "3"] = "its files are gone"
    result = world.sync()
    assert actions(result) == {"m2g/prod/wine": "leave"}
    assert [finding.rule for finding in result.findings] == ["version-unreadable"]


@pytest.mark.parametrize(
    ("per", "branches"),
    [
        ("model", ["m2g/model/churn", "m2g/model/wine"]),
        ("environment", ["m2g/env/dev", "m2g/env/prod"]),
        ("fleet", ["m2g/fleet/all"]),
        ("group, groups: {cellar: [wine*]}", ["m2g/group/cellar", "m2g/prod/churn"]),
    ],
)
def test_another_grouping_takes_other_branches_and_removes_the_old_ones(
    tmp_path: Path, per: str, branches: list[str]
) -> None:
    world = SyncWorld(tmp_path)
    world.move("wine", champion="2", challenger="3")
    world.move("churn", champion="3")
    world.sync()
    git(world.clone, "switch", "-q", "-C", "grouping", "origin/main")
    (world.clone / "m2g.yaml").write_text(f"{CONFIG}proposals: {{per: {per}}}\n")
    commit(world.clone, "grouping")
    git(world.clone, "push", "-q", "origin", "HEAD:main")
    world.sync()
    assert sorted(world.tips()) == sorted([*branches, "main"])
    assert set(actions(world.sync()).values()) == {"leave"}


def test_direct_commits_go_to_the_branch_and_the_rest_becomes_proposals(tmp_path: Path) -> None:
    world = SyncWorld(tmp_path, f"{CONFIG}proposals: {{direct: [dev]}}\n")
    world.move("wine", champion="2", challenger="3")
    assert actions(world.sync()) == {"main": "commit", "m2g/prod/wine": "create"}
    assert world.record("main", "wine", "dev")["version"] == "3"
    assert world.record("main", "wine", "prod")["version"] == "1"
    assert actions(world.sync()) == {"m2g/prod/wine": "leave"}


def test_a_dry_run_touches_nothing(world: SyncWorld) -> None:
    world.move("wine", champion="2")
    tips = world.tips()
    assert actions(world.sync(dry_run=True)) == {"m2g/prod/wine": "create"}
    assert world.tips() == tips


def test_limits_make_the_rest_wait(tmp_path: Path) -> None:
    world = SyncWorld(tmp_path, f"{CONFIG}proposals: {{maxPerRun: 1}}\n")
    world.move("wine", champion="2")
    world.move("churn", champion="3")
    assert sorted(actions(world.sync()).values()) == ["create", "wait"]
    assert sorted(actions(world.sync()).values()) == ["create", "leave"]


def test_a_hand_edit_on_the_branch_is_never_overwritten(world: SyncWorld) -> None:
    path = world.clone / "models/wine/overlays/prod/kustomization.yaml"
    path.write_text(f"{path.read_text()}# mine\n")
    commit(world.clone, "by hand")
    git(world.clone, "push", "-q", "origin", "HEAD:main")
    world.move("wine", champion="2")
    result = world.sync()
    assert set(actions(result).values()) == {"wait"}
    assert "edited by hand" in of(result, "m2g/prod/wine").why


def test_files_that_this_m2g_writes_in_another_way_are_a_proposal_of_their_own(world: SyncWorld) -> None:
    """As after an upgrade of m2g: here, settings changed and nobody rendered."""
    (world.clone / "m2g.yaml").write_text(CONFIG.replace("minReplicas: 2", "minReplicas: 3"))
    commit(world.clone, "settings")
    git(world.clone, "push", "-q", "origin", "HEAD:main")
    world.move("wine", champion="2")
    result = world.sync()
    assert actions(result) == {"m2g/upgrade/files": "create", "m2g/prod/wine": "wait"}
    assert "waits for m2g/upgrade/files" in of(result, "m2g/prod/wine").why
    assert world.record("m2g/upgrade/files", "wine", "prod")["version"] == "1"
    world.merge("m2g/upgrade/files")
    assert actions(world.sync()) == {"m2g/prod/wine": "create", "m2g/upgrade/files": "close"}


def test_a_removal_beyond_the_cap_waits_and_other_proposals_go_on(world: SyncWorld) -> None:
    for number in range(4):
        world.move(f"m{number}", champion="1")
    world.sync()
    for number in range(4):
        world.merge(f"m2g/prod/m{number}")
    world.registry.known = [one for one in world.registry.known if not one.name.startswith("m")]
    world.move("wine", champion="2")
    found = actions(world.sync())
    assert found.pop("m2g/prod/wine") == "create"
    assert set(found.values()) == {"wait"}


def test_two_fleets_in_one_repository_share_no_branch(world: SyncWorld) -> None:
    world.move("wine", champion="2")
    world.sync()
    for folder in ("fleets", "fleets/other"):
        (world.clone / folder).mkdir()
        shutil.copy(world.clone / "m2g.yaml", world.clone / folder)
        for name in ("models", "fleet"):
            shutil.copytree(world.clone / name, world.clone / folder / name)
    commit(world.clone, "monorepo")
    git(world.clone, "push", "-q", "origin", "HEAD:main")
    root = world.root
    branches = ["m2g/prod/wine", "m2g.fleets/prod/wine", "m2g.fleets-other-62440376/prod/wine"]
    for folder, branch in zip(("fleets", "fleets/other"), branches[1:], strict=True):
        world.root = root / folder
        assert actions(world.sync()) == {branch: "create"}
        assert '"version": "2"' in world.read(branch, f"{folder}/models/wine/releases/prod.json")
        assert actions(world.sync()) == {branch: "leave"}
    world.root = root
    assert actions(world.sync()) == {branches[0]: "leave"}
    assert sorted(world.tips()) == sorted([*branches, "main"])


def test_the_branch_to_change_the_prefix_and_the_title_are_settings(tmp_path: Path) -> None:
    """They count on the default branch; what else counts is on the branch to change."""
    world = SyncWorld(tmp_path)
    git(world.clone, "push", "-q", "origin", "HEAD:release/2026")
    first = (
        "proposals: {branch: release/2026, branchPrefix: bots/models, title: 'feat({model}): {before} to {version}'}\n"
    )
    (world.clone / "m2g.yaml").write_text(CONFIG + first)
    commit(world.clone, "settings")
    git(world.clone, "push", "-q", "origin", "HEAD:main", "HEAD:release/2026")
    world.move("wine", champion="2")
    result = world.sync()
    assert (result.branch, actions(result)) == ("release/2026", {"bots/models/prod/wine": "create"})
    assert of(result, "bots/models/prod/wine").title == "feat(wine): 1 to 2"
    assert git(world.clone, "ls-remote", "origin", "bots/*")
    assert actions(world.sync()) == {"bots/models/prod/wine": "leave"}


def test_a_group_may_be_a_tag_of_registered_models(tmp_path: Path) -> None:
    world = SyncWorld(tmp_path, f"{CONFIG}proposals: {{per: group, groups: {{risk: {{tag: team=risk}}}}}}\n")
    world.registry.known = [
        model("wine", tags={"team": "risk"}, champion="2", challenger="1"),
        model("churn", tags={"team": "sales"}, champion="3"),
        model("fraud", tags={"team": "risk"}, champion="1"),
    ]
    assert actions(world.sync()) == {"m2g/group/risk": "create", "m2g/prod/churn": "create"}
    assert world.record("m2g/group/risk", "fraud", "prod")["version"] == "1"


def test_what_a_smoke_test_refused_is_not_committed_directly_but_proposed_where_people_decide(tmp_path: Path) -> None:
    world = SyncWorld(tmp_path, f"{CONFIG}proposals: {{direct: [dev]}}\n")
    world.findings = tuple(
        Finding(rule="smoke-failed", model="wine", environment=name, message="it failed") for name in ("dev", "prod")
    )
    world.move("wine", champion="2", challenger="2")
    world.move("churn", challenger="2")
    assert actions(world.sync()) == {"main": "commit", "m2g/prod/wine": "create"}
    git(world.clone, "fetch", "-q", "origin", "main")
    assert world.record("main", "wine", "dev")["version"] == "1"
    assert world.record("main", "churn", "dev")["version"] == "2"
    world.findings = ()
    assert actions(world.sync())["main"] == "commit"
    assert world.record("main", "wine", "dev")["version"] == "2"


def test_gitlab_opens_the_merge_request_by_push_options(world: SyncWorld) -> None:
    """A real server takes them: they are in the environment of its hooks."""
    remote = Path(world.remote)
    git(remote, "config", "receive.advertisePushOptions", "true")
    hook = remote / "hooks/pre-receive"
    hook.write_text('#!/bin/sh\nenv | grep ^GIT_PUSH_OPTION_ | grep -v COUNT | sort > "$GIT_DIR/options"\n')
    hook.chmod(0o755)
    world.forge = lambda rules: PlainGit("https://gitlab.example.com/o/n", "gitlab")
    world.move("wine", champion="2")
    assert actions(world.sync()) == {"m2g/prod/wine": "create"}
    assert [line.partition("=")[2] for line in (remote / "options").read_text().splitlines()] == [
        "merge_request.create",
        "merge_request.target=main",
        "merge_request.title=wine (prod): 1 → 2",
        "merge_request.remove_source_branch",
        "merge_request.label=m2g",
    ]
    assert actions(world.sync()) == {"m2g/prod/wine": "leave"}
