"""What a smoke test found: a table for people, JSON for scripts."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from m2g.core.results import ApiTest, SmokeResult, SmokeTest
from m2g.core.sanitize import make_visible
from m2g.report.layout import encoded, joined

_ANSWERS = {"equal": "equals pyfunc", "different": "DIFFERS", "failed": "FAILED"}


def smoke(done: SmokeResult, form: str) -> str:
    """One block for each version, and the sum."""
    if form == "json":
        return encoded({"version": 1, **msgspec.to_builtins(done)})
    if not done.tests:
        return "nothing to test: no model changed\n"
    lines = [line for test in done.tests for line in _test(test)]
    passed = sum(test.passed for test in done.tests)
    total = len(done.tests)
    return joined(
        [*lines, f"{passed} of {total} served as pyfunc says" if total > 1 or passed else "smoke test failed"]
    )


def _test(test: SmokeTest) -> Iterator[str]:
    version = f" version {test.version}" if test.version else ""
    where = f" ({', '.join(test.environments)})" if test.environments else ""
    yield f"{'passed' if test.passed else 'FAILED'}  {make_visible(test.model, 60)}{version}{where}: {test.profile}"
    if test.python:
        ready = f"ready after {test.ready_seconds:.1f} s, " if test.ready_seconds else ""
        whose = {
            "runtime": f", packages of {test.runtime} (the gate says: {test.gate})",
            "model": ", packages as the model requires",
        }
        yield f"  {ready}Python {test.python}{whose.get(test.packages, '')}"
    if test.problem:
        first, *rest = test.problem.splitlines()
        yield f"  {make_visible(first, 1000)}"
        yield from (f"  {make_visible(line, 400)}" for line in rest)
    if test.hint:
        yield f"  → {make_visible(test.hint, 500)}"
    timed = any(way.requests for way in test.asked)
    if test.asked:
        yield f"  {'':6}{'answer':<15}" + (
            f"{'requests':>8}{'p50 ms':>9}{'p90':>9}{'p99':>9}{'max':>9}" if timed else ""
        )
    for way in test.asked:
        yield from _way(way, timed=timed)
    yield from (f"  note: {make_visible(note, 400)}" for note in test.notes)


def _way(way: ApiTest, *, timed: bool) -> Iterator[str]:
    line = f"  {way.way.upper() if way.way == 'rest' else 'gRPC':<6}{_ANSWERS[way.answer]:<15}"
    if timed and way.requests:
        times = "".join(f"{value:>9.1f}" for value in (way.p50, way.p90, way.p99, way.longest))
        line += f"{way.requests:>8}{times}"
    yield line.rstrip()
    yield from (f"      {make_visible(problem, 600)}" for problem in way.problems)
