"""How much slower this machine is than the one that the tests' deadlines were written on.

`seconds(20)` is 20 seconds on an idle reference machine, and more on a slow or a busy one. Every deadline, timeout and
patience in the tests goes through it; conftest.py does the same for pytest's own timeout.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import subprocess
import sys
import time

WORK = 0.14
START = 0.06
"""Seconds of the reference machine (an idle cloud machine of two cores) for `_work` and for the start of a Python."""
MOST = 30.0
"""A test that hangs must end some day, however busy the machine is."""
_MEASURED = "TESTS_MACHINE"


def seconds(reference: float) -> float:
    """As long as `reference` seconds are on the reference machine; never shorter than that."""
    return reference * slowness()


def whole_seconds(reference: float) -> str:
    """The same as an argument for a command line."""
    return f"{seconds(reference):.0f}"


def slowness() -> float:
    """What was measured when the tests began, or what the load of now makes of it, whichever is more; at least 1."""
    waited, worked = _measured()
    return min(MOST, max(1.0, waited, worked * _load()))


def measure() -> None:
    """Measure once, for this process and for all that it starts."""
    os.environ[_MEASURED] = " ".join(f"{number:.3f}" for number in _measured())


@functools.cache
def _measured() -> tuple[float, float]:
    """How many times the reference this machine needs: as a clock sees it, and in processor time alone."""
    known = os.environ.get(_MEASURED, "").split()
    if len(known) == 2:
        return float(known[0]), float(known[1])
    waited, worked = time.monotonic(), time.process_time()
    _work()
    work, processor = time.monotonic() - waited, time.process_time() - worked
    begun = time.monotonic()
    subprocess.run([sys.executable, "-I", "-c", "import json, subprocess"], check=True)
    start = time.monotonic() - begun
    return max(work / WORK, start / START), processor / WORK


def _work() -> None:
    digest = b"m2g"
    for _ in range(60_000):
        digest = hashlib.sha256(digest).digest()
    json.loads(json.dumps({str(number): number for number in range(60_000)}))


def _load() -> float:
    """How many processes want each core."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return os.getloadavg()[0] / cores
