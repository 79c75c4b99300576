"""`make bench`: fleets of 10 to 10,000 models on a real MLflow server, m2g beside the naive peer, in one run.

Writes bench/results.json, docs/performance.md and its plot, and prints the table.
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
from bench.measure import Place, Sample, median, run
from bench.peers import kubeconform, template
from bench.results import RESULTS, Results
from bench.scenario import Fleet, measure

ROUNDS = {10: 5, 100: 5, 1000: 3, 10_000: 1}
NAIVE = {10: 3, 100: 2, 1000: 1, 10_000: 0}
"""Rounds in which the naive peer runs: at 1,000 models one takes ten minutes; at 10,000 it is fitted."""


def main() -> int:
    """Measure what is asked for; sizes that are not measured keep their earlier figures only with --keep."""
    arguments = argparse.ArgumentParser(prog="make bench", description=__doc__)
    arguments.add_argument("--sizes", default="10,100,1000,10000", help="fleets, such as 10,100")
    arguments.add_argument("--rounds", type=int, default=0, help="rounds of each; default: 5, 5, 3, 1")
    arguments.add_argument("--naive", type=int, default=-1, help="rounds of the naive peer; default: 3, 2, 1, 0")
    arguments.add_argument("--database", default="", help="an empty PostgreSQL for MLflow, such as postgresql:///bench")
    arguments.add_argument("--write", action="store_true", help="also write bench/results.json and docs/performance.md")
    given = arguments.parse_args()
    sizes = [int(text) for text in given.sizes.split(",")]
    medians: dict[str, dict[str, Sample]] = {}
    with tempfile.TemporaryDirectory(prefix="m2g-bench-") as name:
        for size in sizes:
            rounds = given.rounds or ROUNDS.get(size, 1)
            peers = NAIVE.get(size, 0) if given.naive < 0 else given.naive

            def tell(what: str, size: int = size) -> None:
                sys.stderr.write(f"{size:,} models: {what} …\n")

            found = measure(Fleet(size, Path(name) / str(size), given.database), rounds, peers, tell)
            medians[str(size)] = {what: median(samples) for what, samples in found.items()}
        start = _start(Path(name))
        others = {**kubeconform(Path(name)), **template(Path(name))}
    results = Results(
        machine=f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        kustomize=_said("kustomize", "version"),
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        database=given.database.partition(":")[0] or "sqlite",
        fleets=medians,
        start=start,
        others=others,
    )
    sys.stdout.write(page.table(results))
    if given.write:
        RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
        page.PAGE.write_text(page.markdown(results))
        plot.write(results)
    return 0


def _start(folder: Path) -> dict[str, Sample]:
    """`m2g --help` beside a Python that does nothing."""
    place = Place(folder=folder)
    commands = {
        "bare Python": [sys.executable, "-c", "pass"],
        "m2g --help": [str(shutil.which("m2g")), "--help"],
    }
    samples: dict[str, list[Sample]] = {what: [] for what in commands}
    for _ in range(15):
        for what, command in commands.items():
            samples[what].append(run(command, place))
    return {what: median(taken) for what, taken in samples.items()}


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
