"""What else happens while a canary is open: holds, rollbacks, reverts, new versions."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from m2g.commands.hold import HoldOptions, hold
from m2g.commands.rollback import RollbackOptions, rollback
from m2g.core.errors import InputError
from m2g.core.model import Release
from m2g.repository import records
from tests.support.canaries import KSERVE, Fleet
from tests.support.fleet import run
from tests.support.git_repository import commit, git


@pytest.fixture(params=KSERVE)
def fleet(request: pytest.FixtureRequest, tmp_path: Path) -> Fleet:
    """Version 1 is stable, and 2 has ten percent, in each form."""
    made = Fleet(tmp_path / "fleet", str(request.param))
    made.do("start", version="2", percent=10)
    return made


def call_hold(fleet: Fleet, *, end: bool = False) -> None:
    hold(
        fleet.root,
        HoldOptions(model="wine", environment="prod", end=end),
        open_registry=lambda _: fleet.registry,
    )
    commit(fleet.root, "hold")


def go_back(fleet: Fleet) -> None:
    rollback(
        fleet.root,
        RollbackOptions(model="wine", environment="prod", offline=True),
        open_registry=lambda _: fleet.registry,
    )
    commit(fleet.root, "rollback")


def test_a_new_stable_version_leaves_the_candidate_where_it_is(fleet: Fleet) -> None:
    fleet.point(champion="3")
    assert fleet.render() == []
    assert fleet.versions == ("3", "2")
    assert fleet.check() == []
    fleet.do("promote")
    assert (fleet.versions, fleet.check()) == (("2", ""), [])


def test_a_newer_challenger_does_not_inherit_the_share(fleet: Fleet) -> None:
    fleet.point(champion="1", challenger="4")
    fleet.do("start", percent=50)
    assert fleet.versions == ("1", "4")
    fleet.point(champion="1", challenger="5")
    assert fleet.render() == ["canary-moved"]
    assert fleet.versions == ("1", "4")
    assert (fleet.do("start").percent, fleet.versions) == (0, ("1", "5"))


def test_a_hold_keeps_the_stable_version_and_the_candidate_goes_on(fleet: Fleet) -> None:
    call_hold(fleet)
    fleet.point(champion="3")
    fleet.render()
    assert fleet.versions == ("1", "2")
    assert fleet.do("step").percent == 50
    with pytest.raises(InputError, match="held at version 1") as caught:
        fleet.do("promote")
    assert caught.value.hint == "end the hold first: m2g hold wine --env prod --end"
    call_hold(fleet, end=True)
    fleet.do("promote")
    assert (fleet.versions, fleet.check()) == (("2", ""), [])


def test_a_rollback_of_the_stable_version_ends_the_canary(fleet: Fleet) -> None:
    fleet.point(champion="3")
    fleet.render()
    go_back(fleet)
    assert (fleet.versions, fleet.shares()) == (("1", ""), {"wine": 100})
    assert (fleet.render(), fleet.check()) == ([], [])


def test_a_rollback_of_a_promoted_candidate_keeps_the_name_of_its_pods(fleet: Fleet) -> None:
    fleet.do("promote")
    before = read(fleet)
    go_back(fleet)
    after = read(fleet)
    assert (after.version, after.predictor) == ("1", before.predictor)
    assert (fleet.render(), fleet.check()) == ([], [])


def test_a_candidate_may_come_back_after_it_was_promoted(fleet: Fleet) -> None:
    fleet.do("promote")
    go_back(fleet)
    call_hold(fleet, end=True)
    fleet.do("start", version="2", percent=10)
    assert (fleet.versions, fleet.check()) == (("1", "2"), [])
    assert len(fleet.shares()) == 2


def test_a_revert_of_a_promotion_is_a_hold(fleet: Fleet) -> None:
    fleet.do("promote")
    git(fleet.root, "revert", "--no-edit", "HEAD")
    assert fleet.versions == ("1", "2")
    assert fleet.check() == []
    fleet.point(champion="2")
    outcome = run(fleet.root, fleet.registry)
    assert [one.rule for one in outcome.findings] == ["held-by-revert"]
    assert fleet.versions == ("1", "2")


def test_an_abort_after_a_promotion_changes_nothing(fleet: Fleet) -> None:
    fleet.do("promote")
    assert fleet.do("abort").action == "unchanged"


def test_the_next_version_keeps_the_predictors_name(fleet: Fleet) -> None:
    fleet.do("promote")
    name = read(fleet).predictor
    call_hold(fleet, end=True)
    fleet.point(champion="4")
    assert fleet.render() == []
    assert (read(fleet).version, read(fleet).predictor) == ("4", name)
    assert fleet.check() == []


@pytest.mark.attack
def test_facts_of_a_candidate_that_somebody_changed_are_repaired(fleet: Fleet) -> None:
    record = read(fleet)
    forged = msgspec.structs.replace(record.variants["canary"], artifact_uri="s3://evil/model")
    fleet.forge(msgspec.structs.replace(record, variants={"canary": forged}))
    fleet.verify()
    assert read(fleet) == record


def read(fleet: Fleet) -> Release:
    """The record in prod."""
    return records.decode((fleet.root / "models/wine/releases/prod.json").read_bytes())
