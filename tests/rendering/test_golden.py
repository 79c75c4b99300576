"""Golden repositories: from their records alone, render must give each of them to the byte."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from m2g.changes.update import RenderOptions
from tests.support.fleet import FakeRegistry, run, tree
from tests.support.paths import GOLDEN

CASES = sorted(path.name for path in GOLDEN.iterdir() if path.is_dir())


def copy_inputs(case: Path, destination: Path) -> Path:
    """What people and the registry gave, without what render makes of it."""
    shutil.copytree(case, destination)
    for made in (
        *destination.glob("models/*/base"),
        *destination.glob("models/*/overlays"),
        *destination.glob("models/*/requests"),
        *destination.glob("environments/*/base"),
        *destination.glob("environments/*/overlays"),
        destination / "fleet",
    ):
        shutil.rmtree(made, ignore_errors=True)
    for card in destination.glob("models/*/README.md"):
        card.unlink()
    return destination


@pytest.mark.parametrize("case", CASES)
def test_render_gives_the_golden_repository(case: str, tmp_path: Path, update_golden: bool) -> None:
    root = copy_inputs(GOLDEN / case, tmp_path / case)
    outcome = run(root, FakeRegistry(), RenderOptions(locked=True))
    assert outcome.findings == ()
    if update_golden:
        shutil.rmtree(GOLDEN / case)
        shutil.copytree(root, GOLDEN / case, ignore=shutil.ignore_patterns(".m2g"))
    assert tree(root) == tree(GOLDEN / case)


@pytest.mark.parametrize("case", CASES)
def test_a_second_run_changes_nothing(case: str, tmp_path: Path) -> None:
    root = copy_inputs(GOLDEN / case, tmp_path / case)
    run(root, FakeRegistry(), RenderOptions(locked=True))
    stamps = {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}
    assert run(root, FakeRegistry(), RenderOptions(locked=True)).files == ()
    assert run(root, FakeRegistry(), RenderOptions(locked=True, check=True)).files == ()
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
