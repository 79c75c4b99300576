"""Nothing rolls forward over a person who went back."""

from __future__ import annotations

from pathlib import Path

import pytest

from m2g.changes.update import RenderOptions
from m2g.commands.hold import HoldOptions, hold
from m2g.repository import records
from m2g.repository.state import Scope
from m2g.resolution.reverts import find_reverts
from tests.support.fleet import CONFIG, FakeRegistry, model, repository, run
from tests.support.git_repository import commit, git, start
from tests.support.releases import Line


@pytest.fixture
def line(tmp_path: Path) -> Line:
    """Versions 1 and 2 ran; the alias is at 2."""
    line = Line(tmp_path / "fleet")
    line.follow("2")
    return line


def test_a_revert_stays_while_the_alias_stays_and_when_it_moves_on(line: Line) -> None:
    line.git("revert", "--no-edit", "HEAD")
    reverted = line.record
    assert line.render() == ["held-by-revert"]
    line.registry.known[0] = model(champion="3")
    assert line.render() == ["held-by-revert"]
    assert (line.version, line.record) == ("1", reverted)
    assert line.git("status", "--porcelain") == ""


@pytest.mark.parametrize("how", ["revert", "squash", "merge", "checkout", "not-committed", "rebase"])
def test_whoever_went_back_in_whatever_way_is_respected(line: Line, how: str) -> None:
    if how in ("squash", "merge", "rebase"):
        line.git("switch", "-q", "-c", "back")
        line.git("revert", "--no-edit", "HEAD")
        line.git("switch", "-q", "main")
        (line.root / "other").write_text("meanwhile")
        line.commit("another change")
    match how:
        case "revert":
            line.git("-c", "user.name=m2g", "-c", "user.email=m2g@example.com", "revert", "--no-edit", "HEAD")
        case "squash":
            line.git("merge", "-q", "--squash", "back")
            line.commit("Render the fleet (#12)")
        case "merge":
            line.git("merge", "-q", "--no-ff", "--no-edit", "back")
        case "rebase":
            line.git("switch", "-q", "back")
            line.git("rebase", "-q", "main")
            line.git("switch", "-q", "main")
            line.git("merge", "-q", "--ff-only", "back")
        case _:
            line.git("checkout", "-q", "HEAD~1", "--", "models", "fleet")
            if how == "checkout":
                line.commit("Render the fleet")
    assert line.render() == ["held-by-revert"]
    assert line.version == "1"


def test_an_alias_that_moves_back_and_on_is_followed(line: Line) -> None:
    line.follow("1")
    replaces = records.decode(line.record).replaces
    assert replaces is not None
    assert (line.version, replaces.version) == ("1", "2")
    line.follow("2")
    line.follow("1")
    line.follow("3")
    assert line.version == "3"


def test_a_second_revert_of_the_same_version_is_one_too(line: Line) -> None:
    line.follow("1")
    line.follow("2")
    line.git("revert", "--no-edit", "HEAD")
    assert line.render() == ["held-by-revert"]
    assert line.version == "1"


def test_a_proposal_that_is_merged_late_is_followed(line: Line) -> None:
    line.follow("1")
    line.git("switch", "-q", "-c", "m2g/render")
    line.follow("2")
    line.git("switch", "-q", "main")
    file = line.root / "m2g.yaml"
    file.write_text(file.read_text() + "tags: {m2g.dev/min-replicas: minReplicas}\nbounds: {minReplicas: {max: 9}}\n")
    line.registry.known[0] = model(champion="1", tags={"m2g.dev/min-replicas": "3"})
    assert line.render() == []
    line.commit("another tag of version 1")
    line.git("checkout", "-q", "m2g/render", "--", "models", "fleet")
    line.commit("Render the fleet (#3)")
    line.registry.known[0] = model(champion="3")
    assert (line.version, line.render(), line.version) == ("2", [], "3")


def test_a_bots_merges_are_followed_even_if_squashed(line: Line) -> None:
    for version in ("1", "2", "1", "3"):
        line.git("switch", "-q", "-C", "m2g/render")
        line.follow(version)
        line.git("switch", "-q", "main")
        line.git("merge", "-q", "--squash", "m2g/render")
        line.commit("Render the fleet (#3)")
    assert line.version == "3"


def test_ending_the_hold_follows_the_registry_again(line: Line) -> None:
    line.git("revert", "--no-edit", "HEAD")
    options = HoldOptions(model="wine", environment="prod", end=True)
    result = hold(line.root, options, open_registry=lambda _: line.registry)
    assert (result.action, result.files) == ("ended", ("models/wine/releases/prod.json",))
    assert line.version == "1"
    assert line.render() == []
    assert line.version == "2"


def test_a_pin_says_what_the_revert_meant_and_ends_with_it(line: Line) -> None:
    line.git("revert", "--no-edit", "HEAD")
    pin = line.root / "models/wine/model.yaml"
    pin.write_text("environments: {prod: {version: 1, reason: slow}}\n")
    line.commit("hold")
    assert line.render() == []
    replaces = records.decode(line.record).replaces
    assert replaces is not None
    assert (line.version, replaces.version) == ("1", "2")
    line.commit("rendered")
    pin.unlink()
    assert line.render() == []
    assert line.version == "2"


def test_one_environment_that_is_held_holds_no_other(tmp_path: Path) -> None:
    root = start(repository(tmp_path))
    registry = FakeRegistry([model(champion="1", challenger="1")])
    run(root, registry)
    commit(root)
    registry.known[0] = model(champion="2", challenger="2")
    run(root, registry, RenderOptions(scope=Scope(environments=frozenset({"prod"}))))
    commit(root)
    git(root, "revert", "--no-edit", "HEAD")
    outcome = run(root, registry)
    assert [(change.environment, change.after) for change in outcome.releases] == [("dev", "2")]
    assert [(finding.rule, finding.environment) for finding in outcome.findings] == [("held-by-revert", "prod")]


def test_a_shallow_clone_that_cannot_tell_moves_nothing(line: Line, tmp_path: Path) -> None:
    line.git("revert", "--no-edit", "HEAD")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{line.root}", str(clone))
    outcome = run(clone, line.registry)
    assert [finding.rule for finding in outcome.findings] == ["history-short"]
    assert not outcome.releases
    hint = outcome.findings[0].hint
    assert "git fetch --unshallow" in hint
    git(clone, "fetch", "-q", "--unshallow")
    assert [finding.rule for finding in run(clone, line.registry).findings] == ["held-by-revert"]


def test_a_shallow_clone_that_can_tell_follows(line: Line, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--depth=2", f"file://{line.root}", str(clone))
    line.registry.known[0] = model(champion="3")
    assert run(clone, line.registry).findings == ()
    assert records.read_all(clone)[0]["wine", "prod"].version == "3"


def test_a_blobless_clone_fetches_what_it_needs(line: Line, tmp_path: Path) -> None:
    line.git("config", "uploadpack.allowFilter", "true")
    line.git("revert", "--no-edit", "HEAD")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--filter=blob:none", f"file://{line.root}", str(clone))
    assert [finding.rule for finding in run(clone, line.registry).findings] == ["held-by-revert"]


def test_a_repository_in_a_subfolder_has_its_own_history(tmp_path: Path) -> None:
    start(tmp_path)
    root = repository(tmp_path / "deploy/fleet", CONFIG)
    registry = FakeRegistry([model(champion="1")])
    for version in ("1", "2"):
        registry.known[0] = model(champion=version)
        run(root, registry)
        commit(tmp_path, version)
    git(tmp_path, "revert", "--no-edit", "HEAD")
    assert [finding.rule for finding in run(root, registry).findings] == ["held-by-revert"]


def test_without_git_nothing_is_held(tmp_path: Path) -> None:
    root = repository(tmp_path)
    registry = FakeRegistry([model(champion="2")])
    run(root, registry)
    registry.known[0] = model(champion="1")
    run(root, registry)
    known, _ = records.read_all(root)
    assert known["wine", "prod"].version == "1"
    assert find_reverts(root, known).found == {}
