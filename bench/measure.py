"""Measure one command: wall time, processor time with child processes, memory, HTTP requests, kustomize builds."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

COUNTING = Path(__file__).parent / "counting"
_PEAK = re.compile(rb"VmHWM:\s+(\d+) kB")
_INTERVAL = 0.01
"""Seconds between two readings of the peak memory. The value only grows, so only the last moments can be missed."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one run. `wall` and `cpu` are in seconds; `peak` is the process's own memory in MiB.

    `calls` counts the HTTP requests that the MLflow server answered, `builds` the kustomize processes.
    """

    wall: float
    cpu: float
    peak: float = 0.0
    calls: int = 0
    builds: int = 0

    def __add__(self, other: Sample) -> Sample:
        return Sample(
            wall=self.wall + other.wall,
            cpu=self.cpu + other.cpu,
            peak=max(self.peak, other.peak),
            calls=self.calls + other.calls,
            builds=self.builds + other.builds,
        )


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where commands run: a directory, the MLflow server's log, and environment variables."""

    folder: Path
    log: Path | None = None
    environment: Mapping[str, str] = {}


def run(command: Sequence[str], place: Place) -> Sample:
    """Run the command. Raises RuntimeError with the end of its output if its exit code is not 0."""
    builds = place.folder / ".builds"
    output = place.folder / ".output"
    builds.write_text("")
    before = _count_calls(place.log)
    # Python may write byte code, as for an installed m2g.
    environment = {
        **{key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"},
        **place.environment,
        "PYTHONPATH": os.pathsep.join([str(COUNTING), str(COUNTING.parents[1])]),
        "M2G_BENCH_BUILDS": str(builds),
    }
    with output.open("wb") as out:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=place.folder, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
        peak, usage, code = _watch(process.pid)
        wall = time.perf_counter() - start
    process.returncode = code
    if code:
        end = output.read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{' '.join(command[:6])} ended with exit code {code}:\n{end}")
    return Sample(
        wall=wall,
        cpu=usage.ru_utime + usage.ru_stime,
        peak=peak / 1024,
        calls=_count_calls(place.log) - before,
        builds=builds.read_text().count("."),
    )


def compute_median(samples: Sequence[Sample]) -> Sample:
    """The median of each figure."""
    return Sample(
        wall=statistics.median(one.wall for one in samples),
        cpu=statistics.median(one.cpu for one in samples),
        peak=statistics.median(one.peak for one in samples),
        calls=round(statistics.median(one.calls for one in samples)),
        builds=round(statistics.median(one.builds for one in samples)),
    )


def _watch(pid: int) -> tuple[int, os.struct_rusage, int]:  # type: ignore[name-defined] # typeshed hides it in resource
    """Peak memory in KiB, the resource usage of the process and its children, and the exit code."""
    peak = 0
    while True:
        try:
            found = _PEAK.search(Path(f"/proc/{pid}/status").read_bytes())
            peak = max(peak, int(found[1])) if found else peak
        except OSError:
            pass
        done, status, usage = os.wait4(pid, os.WNOHANG)
        if done:
            return peak, usage, os.waitstatus_to_exitcode(status)
        time.sleep(_INTERVAL)


def _count_calls(log: Path | None) -> int:
    return log.read_bytes().count(b' HTTP/1.1" ') if log is not None else 0
