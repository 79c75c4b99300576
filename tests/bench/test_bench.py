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


def made(**walls: float) -> Results:
    """Results of fleets of 100 and 1,000 models and one of 10,000, with these seconds for cold and naive."""
    fleets = {
        "100": {"cold": Sample(wall=1, cpu=1), "naive": Sample(wall=walls["small"], cpu=walls["small"])},
        "1000": {"cold": Sample(wall=10, cpu=10), "naive": Sample(wall=walls["large"], cpu=walls["large"])},
        "10000": {"cold": Sample(wall=100, cpu=100)},
    }
    return Results(machine="m", kustomize="v5", date="2026-11-25", fleets=fleets, start={}, others={})


def test_the_committed_page_is_what_the_committed_results_say() -> None:
    assert page.PAGE.read_text() == page.render_markdown(results.read_results())


def test_the_peer_is_fitted_by_a_line_and_said_to_be() -> None:
    found = made(small=100, large=1000).naive(10_000)
    assert found is not None
    assert (round(found[0].wall), found[1]) == (10_000, True)
    assert made(small=100, large=1000).naive(1000) == (Sample(wall=1000, cpu=1000), False)
    assert "(fitted)" in page.render_table(made(small=100, large=1000))


def test_a_goal_that_is_missed_is_said_to_be() -> None:
    reached = {row[0]: row[3] for row in page.list_goals(made(small=29, large=760))}
    assert reached["cold, 100 models, wall"] == "missed"
    assert reached["cold, 1,000 models, wall"] == "reached"
    assert reached["growth of cold processor time, 100 to 10,000 models: exponent"] == "reached"


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
        [sys.executable, "-m", "bench", "--sizes", "3", "--rounds", "1", "--naive", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    rows = {line[2:66].strip(): line.split() for line in done.stdout.splitlines() if line.startswith("  ")}
    naive = next(cells for what, cells in rows.items() if what.startswith("the naive peer"))
    assert naive[-2:] == ["9", "9"]  # a call and a build for each of 3 × 3 overlays
    assert "3 models: kustomize processes" in done.stdout
    assert "missed" not in [
        line.split()[-1] for line in done.stdout.splitlines() if "processes" in line or "calls" in line
    ]
