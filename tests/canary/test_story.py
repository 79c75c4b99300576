"""From the first pod of a candidate to all traffic, and back, in every form; each state is rebuilt from a clone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.canaries import KSERVE, Fleet

CANDIDATE = {"spec": "v2", "route": "wine-canary", "graph": "wine-canary"}


@pytest.fixture(params=KSERVE)
def form(request: pytest.FixtureRequest) -> str:
    """Each form."""
    return str(request.param)


def test_from_the_alias_to_all_traffic_and_promoted(form: str, tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "fleet", form)
    fleet.point(champion="1", challenger="2")
    assert fleet.do("start").action == "started"
    assert (fleet.versions, fleet.shares()) == (("1", "2"), {"wine": 100, CANDIDATE[form]: 0})
    assert fleet.check() == []
    for percent in (10, 50, 100):
        assert fleet.do("step").percent == percent
        assert fleet.shares() == {"wine": 100 - percent, CANDIDATE[form]: percent}
        assert fleet.check() == []
        assert fleet.render() == []
    assert fleet.do("promote").action == "promoted"
    assert (fleet.versions, fleet.shares()) == (("2", ""), {"wine": 100})
    assert fleet.check() == []
    assert fleet.render() == []
    assert fleet.versions == ("2", "")


def test_an_abort_gives_all_traffic_back(form: str, tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "fleet", form)
    before = fleet.build()
    fleet.do("start", version="3", percent=20)
    assert fleet.shares() == {"wine": 80, CANDIDATE[form].replace("2", "3"): 20}
    assert fleet.do("abort").action == "aborted"
    assert (fleet.versions, fleet.shares()) == (("1", ""), {"wine": 100})
    assert fleet.check() == []
    assert fleet.render() == []
    services = [item for item in fleet.build() if item["kind"] == "InferenceService"]
    assert services == before


def test_a_candidate_that_follows_an_alias_is_promoted_by_the_stable_alias(form: str, tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "fleet", form)
    fleet.write("environments: {prod: {canary: {alias: challenger, percent: 10}}}\n")
    fleet.point(champion="1", challenger="4")
    assert fleet.render() == []
    assert fleet.versions == ("1", "4")
    fleet.point(champion="1", challenger="5")
    assert fleet.render() == []
    assert fleet.versions == ("1", "5")
    assert fleet.check() == []
    fleet.point(champion="5", challenger="5")
    assert fleet.render() == []
    assert (fleet.versions, fleet.shares()) == (("5", ""), {"wine": 100})
    assert fleet.check() == []
