"""`make bench`: measure m2g, lower limits and other tools in one run, on fleets of 10 to 10,000 models.

The models are on a real MLflow server.

It prints a table. With --write it also writes bench/results.json, docs/performance.md and its plot.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bench import page, plot
from bench.measure import Place, Sample, compute_median, run
from bench.peers import measure_kubeconform
from bench.results import RESULTS, Results
from bench.scenario import Fleet, measure_fleet

ROUNDS = {10: 5, 100: 5, 1000: 3, 10_000: 1}


def main() -> int:
    """Measure the fleets of the given sizes."""
    arguments = argparse.ArgumentParser(prog="make bench", description=__doc__)
    arguments.add_argument("--sizes", default="10,100,1000,10000", help="The sizes of the fleets, such as 10,100.")
    arguments.add_argument("--rounds", type=int, default=0, help="Rounds for each size. Default: 5, 5, 3, 1.")
    arguments.add_argument(
        "--database", default="", help="An empty PostgreSQL database for MLflow, such as postgresql:///bench."
    )
    arguments.add_argument("--write", action="store_true", help="Write bench/results.json and docs/performance.md.")
    given = arguments.parse_args()
    sizes = [int(text) for text in given.sizes.split(",")]
    medians: dict[str, dict[str, Sample]] = {}
    with tempfile.TemporaryDirectory(prefix="m2g-bench-") as name:
        for size in sizes:
            rounds = given.rounds or ROUNDS.get(size, 1)

            def notify(what: str, size: int = size) -> None:
                sys.stderr.write(f"{size:,} models: {what} …\n")

            measured = measure_fleet(Fleet(size, Path(name) / str(size), given.database), rounds, notify)
            medians[str(size)] = {what: compute_median(samples) for what, samples in measured.items()}
        start = _measure_start(Path(name))
        others = measure_kubeconform(Path(name))
    results = Results(
        machine=f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        kustomize=_output_of("kustomize", "version"),
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        database=given.database.partition(":")[0] or "sqlite",
        fleets=medians,
        start=start,
        others=others,
    )
    sys.stdout.write(page.render_table(results))
    if given.write:
        RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
        page.PAGE.write_text(page.render_markdown(results))
        plot.draw(results)
    return 0


def _measure_start(folder: Path) -> dict[str, Sample]:
    """The times of `m2g --help` and of a Python process that does nothing."""
    place = Place(folder=folder)
    commands = {
        "bare Python": [sys.executable, "-c", "pass"],
        "m2g --help": [str(shutil.which("m2g")), "--help"],
    }
    samples: dict[str, list[Sample]] = {what: [] for what in commands}
    for _ in range(15):
        for what, command in commands.items():
            samples[what].append(run(command, place))
    return {what: compute_median(taken) for what, taken in samples.items()}


def _output_of(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
