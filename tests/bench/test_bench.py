"""The bench runs, counts what it says it counts, and its page is what its results say. Nothing here is timed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from bench import page, results
from bench.measure import Place, Sample, run
from bench.results import Results

from tests.support.paths import ROOT


def made(cold: float, floor: float) -> Results:
    """Results of fleets of 100 and 1,000 models and one of 10,000, with these seconds at 1,000."""
    fleets = {
        "100": {"cold": Sample(wall=1, cpu=1)},
        "1000": {"cold": Sample(wall=cold, cpu=cold), "kustomize alone": Sample(wall=floor, cpu=floor)},
        "10000": {"cold": Sample(wall=100, cpu=100)},
    }
    return Results(machine="m", kustomize="v5", date="2026-11-25", fleets=fleets, start={}, others={})


def test_the_committed_page_is_what_the_committed_results_say() -> None:
    assert page.PAGE.read_text() == page.render_markdown(results.read_results())


def test_a_goal_that_is_missed_is_said_to_be() -> None:
    goal = "cold render + validate over kustomize alone, 1,000 models, wall"
    reached = {row[0]: row[3] for row in page.list_goals(made(15, 10))}
    assert reached[goal] == "reached"
    assert reached["growth of cold processor time, 100 to 10,000 models: exponent"] == "reached"
    assert {row[0]: row[3] for row in page.list_goals(made(16, 10))}[goal] == "missed"


def test_a_command_that_fails_is_no_sample(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="ended with exit code 3"):
        run([sys.executable, "-c", "raise SystemExit(3)"], Place(folder=tmp_path))


def test_builds_are_counted_in_the_command_and_what_it_starts(tmp_path: Path, kustomize: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text("resources: []\n")
    script = f"import subprocess; [subprocess.run([{str(kustomize)!r}, 'build', '.']) for _ in range(3)]"
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {script!r}])"
    assert run([sys.executable, "-c", script], Place(folder=tmp_path)).builds == 3
    assert run([sys.executable, "-c", nested], Place(folder=tmp_path)).builds == 3


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("kustomize")
@pytest.mark.slow
def test_the_whole_bench_on_a_small_fleet() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--sizes", "3", "--rounds", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    rows = {line[2:66].strip(): line.split() for line in done.stdout.splitlines() if line.startswith("  ")}
    bare = next(cells for what, cells in rows.items() if what.startswith("a bare HTTP client"))
    assert bare[-2:] == ["22", "0"]  # two lists, runs, logged models, and three files of each of 3 × 2 versions
    assert "3 models: kustomize processes" in done.stdout
    assert "missed" not in [
        line.split()[-1] for line in done.stdout.splitlines() if "processes" in line or "calls" in line
    ]
