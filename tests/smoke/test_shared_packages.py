"""`m2g smoke` of a version that shares a serving environment uses what the environment's image gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from m2g.repository.load import read_repository
from m2g.smoke.packages import choose_packages, make_spec
from m2g.smoke.targets import Target, TargetOptions, find_targets
from tests.support.paths import GOLDEN

CASE = GOLDEN / "serving-environment"


def find(profile: str = "") -> Target:
    (target,) = find_targets(TargetOptions(model="wine", environments=("prod",), profile=profile), CASE)
    return target


def test_the_locked_packages_are_installed(tmp_path: Path) -> None:
    target = find()
    assert target.shared is not None
    recorded = read_repository(CASE).environments[target.shared.id]
    choice = choose_packages(target, None, "", deployed=False)
    spec, notes = make_spec(target, choice)
    assert choice.packages == "environment"
    assert {line.partition(" ;")[0] for line in spec.lines} == {f"{k}=={v}" for k, v in recorded.packages.items()}
    assert spec.python == recorded.environment.python
    assert recorded.id in notes[0]
    assert choose_packages(target, tmp_path, "", deployed=False).packages == "given"


@pytest.mark.parametrize(("requested", "deployed"), [("model", False), ("", True)])
def test_the_models_own_are_installed_where_they_are_wished_or_only_pyfunc_runs(
    requested: str, *, deployed: bool
) -> None:
    choice = choose_packages(find(), None, requested, deployed=deployed)  # type: ignore[arg-type]  # both are packages
    assert choice.packages == "model"


def test_another_profile_shares_nothing() -> None:
    assert find(profile="mlflow-image").shared is None
