"""`m2g sync` proposes a canary like any move of an alias: a branch for the start, one for the promotion."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.canaries import KSERVE, write_config
from tests.support.fleet import model
from tests.support.sync_world import SyncWorld, actions

pytestmark = [pytest.mark.usefixtures("kustomize"), pytest.mark.slow]

BRANCH = "m2g/prod/wine"


@pytest.mark.parametrize("form", KSERVE)
def test_from_challenger_to_champion_by_proposals_alone(form: str, tmp_path: Path) -> None:
    world = SyncWorld(tmp_path, write_config(form))
    world.registry.known = [model("wine", champion="1", challenger="1")]
    (world.clone / "models/wine/model.yaml").write_text(
        "environments: {prod: {canary: {alias: challenger, steps: [10, 100]}}}\n"
    )
    world.settle()
    assert actions(world.sync()) == {}
    world.move("wine", challenger="2")
    assert actions(world.sync()) == {BRANCH: "create"}
    record = world.record(BRANCH, "wine", "prod")
    assert (record["version"], record["variants"]["canary"]["version"]) == ("1", "2")
    assert actions(world.sync()) == {BRANCH: "leave"}
    world.move("wine", challenger="3")  # a newer one takes its place in the same proposal
    assert actions(world.sync()) == {BRANCH: "update"}
    world.merge(BRANCH)
    assert actions(world.sync()) == {BRANCH: "close"}
    world.move("wine", champion="3")
    assert actions(world.sync()) == {BRANCH: "create"}
    record = world.record(BRANCH, "wine", "prod")
    assert (record["version"], "variants" in record) == ("3", False)
    assert record.get("predictor") == ("v3" if form == "spec" else None)


def test_a_candidate_of_no_alias_is_proposed_to_end(tmp_path: Path) -> None:
    world = SyncWorld(tmp_path, write_config("spec"))
    world.registry.known = [model("wine", champion="1", challenger="2")]
    (world.clone / "models/wine/model.yaml").write_text("environments: {prod: {canary: {alias: challenger}}}\n")
    world.settle()
    world.registry.known = [model("wine", champion="1")]
    assert actions(world.sync()) == {BRANCH: "create"}
    assert "variants" not in world.record(BRANCH, "wine", "prod")
