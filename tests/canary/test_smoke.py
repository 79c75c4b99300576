"""What `m2g smoke` tests of a model with a canary: both versions here, and one of them behind an endpoint."""

from __future__ import annotations

from pathlib import Path

import pytest

from m2g.smoke.targets import TargetOptions, find_targets
from tests.support.canaries import Fleet


@pytest.mark.parametrize(
    ("options", "versions"),
    [
        (TargetOptions(model="wine"), ["1", "2"]),
        (TargetOptions(model="wine", version="2"), ["2"]),
        (TargetOptions(model="wine", deployed=True), ["1"]),
        (TargetOptions(model="wine", deployed=True, version="2"), ["2"]),
    ],
)
def test_both_versions_are_tested(tmp_path: Path, options: TargetOptions, versions: list[str]) -> None:
    fleet = Fleet(tmp_path / "fleet", "spec")
    fleet.do("start", version="2", percent=10)
    assert [target.version for target in find_targets(options, fleet.root)] == versions
