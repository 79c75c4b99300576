"""What a reviewer of a canary reads: who gets which traffic, from how many pods."""

from __future__ import annotations

from pathlib import Path

import pytest

from m2g.commands.diff import diff
from m2g.repository.state import Scope
from m2g.review import Change, Risk
from tests.support.canaries import KSERVE, Fleet
from tests.support.git_repository import git


@pytest.fixture(params=KSERVE)
def fleet(request: pytest.FixtureRequest, tmp_path: Path) -> Fleet:
    """Each form."""
    return Fleet(tmp_path / "fleet", str(request.param))


def read(fleet: Fleet) -> tuple[Change, list[str]]:
    """The change of the last commit, and its lines."""
    (change,) = diff(fleet.root, "HEAD^", Scope()).changes
    return change, [concern.message for concern in change.concerns]


@pytest.mark.attack
@pytest.mark.usefixtures("kustomize")
def test_a_reviewer_reads_who_gets_what(fleet: Fleet) -> None:
    fleet.do("start", version="2", percent=10)
    change, lines = read(fleet)
    assert "version 2 gets 10 % of the traffic (before: nothing), version 1 the other 90 %" in lines
    (capacity,) = [line for line in lines if line.startswith("capacity")]
    low = 1 if fleet.knative else 4
    assert capacity.startswith(f"capacity of all versions: at least {low + 1} pods that request cpu ")
    assert f"(before: at least {low} pods" in capacity
    assert not [line for line in lines if "people change" in line or "does not write" in line]
    fleet.do("step")
    assert "version 2 gets 50 % of the traffic (before: 10 %), version 1 the other 50 %" in read(fleet)[1]
    fleet.do("promote")
    change, lines = read(fleet)
    text = "version 2 becomes the stable version in place of 1: it was the candidate, which had 50 % of the traffic"
    assert text in lines
    assert (change.before, change.after) == ("1", "2")
    assert change.risk is Risk.CAUTION, lines


@pytest.mark.usefixtures("kustomize")
def test_an_abort_breaks_nobody(fleet: Fleet) -> None:
    fleet.do("start", version="2", percent=10)
    fleet.do("abort")
    change, lines = read(fleet)
    assert "the canary of version 2 ends: version 1 gets all traffic" in lines
    assert change.risk is Risk.CAUTION, lines


@pytest.mark.usefixtures("kustomize")
def test_a_revert_of_a_step_is_read_as_a_step(fleet: Fleet) -> None:
    fleet.do("start", version="2", percent=10)
    fleet.do("step")
    git(fleet.root, "revert", "--no-edit", "HEAD")
    assert "version 2 gets 10 % of the traffic (before: 50 %), version 1 the other 90 %" in read(fleet)[1]


@pytest.mark.usefixtures("kustomize")
def test_a_candidate_with_another_signature_breaks_a_part_of_the_callers(fleet: Fleet) -> None:
    fleet.rename_input("3", "sugar")
    fleet.do("start", version="3")
    change, lines = read(fleet)
    assert change.risk is Risk.BREAKING
    assert any(line.startswith("candidate: signature: ") for line in lines)
