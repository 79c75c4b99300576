"""One command from outside: wall time, processor time of it and all that it started, memory, calls, builds."""

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
_LOOK = 0.01
"""Seconds between two looks at the peak; it only grows, so that no short one is missed but the last instants'."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What one run took. `wall` and `cpu` are in seconds, `peak` (the process's own memory) in MiB.

    `calls` are HTTP requests that the MLflow server answered, `builds` kustomize processes.
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
    """Where commands run: a folder, the server's log, variables."""

    folder: Path
    log: Path | None = None
    environment: Mapping[str, str] = {}


def run(command: Sequence[str], place: Place) -> Sample:
    """Run it to its end. Raises RuntimeError where it does not end with 0, with what it said last."""
    counted = place.folder / ".builds"
    said = place.folder / ".said"
    counted.write_text("")
    before = _calls(place.log)
    # An installed m2g has its byte code beside it.
    environment = {
        **{key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"},
        **place.environment,
        "PYTHONPATH": os.pathsep.join([str(COUNTING), str(COUNTING.parents[1])]),
        "M2G_BENCH_BUILDS": str(counted),
    }
    with said.open("wb") as out:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=place.folder, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
        peak, usage, code = _watch(process.pid)
        wall = time.perf_counter() - start
    process.returncode = code
    if code:
        raise RuntimeError(f"{' '.join(command[:6])} ended with {code}:\n{said.read_text(errors='replace')[-2000:]}")
    return Sample(
        wall=wall,
        cpu=usage.ru_utime + usage.ru_stime,
        peak=peak / 1024,
        calls=_calls(place.log) - before,
        builds=counted.read_text().count("."),
    )


def median(samples: Sequence[Sample]) -> Sample:
    """The median of each figure."""
    return Sample(
        wall=statistics.median(one.wall for one in samples),
        cpu=statistics.median(one.cpu for one in samples),
        peak=statistics.median(one.peak for one in samples),
        calls=round(statistics.median(one.calls for one in samples)),
        builds=round(statistics.median(one.builds for one in samples)),
    )


def _watch(pid: int) -> tuple[int, os.struct_rusage, int]:  # type: ignore[name-defined] # typeshed hides it in resource
    """Peak memory in KiB, what the process and its children used, exit code."""
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
        time.sleep(_LOOK)


def _calls(log: Path | None) -> int:
    return log.read_bytes().count(b' HTTP/1.1" ') if log is not None else 0
