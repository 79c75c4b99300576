"""The result of a smoke test as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from m2g.core.results import ApiTest, SmokeResult, SmokeTest, Walls
from m2g.core.sanitize import make_visible
from m2g.report.layout import encode_json, join_lines

_ANSWERS = {"equal": "equals pyfunc", "different": "DIFFERS", "failed": "FAILED"}


def render(done: SmokeResult, form: str) -> str:
    """One block for each version, then a summary line."""
    if form == "json":
        return encode_json({"version": 1, **msgspec.to_builtins(done)})
    if not done.tests:
        return "nothing to test: no model has changed\n"
    lines = [line for test in done.tests for line in _test(test)]
    passed = sum(test.passed for test in done.tests)
    total = len(done.tests)
    summary = f"{passed} of {total} equal to pyfunc" if total > 1 or passed else "smoke test failed"
    return join_lines([*lines, *describe_walls(done.walls), summary])


def describe_walls(walls: Walls) -> Iterator[str]:
    """One line that says what separated the model's code from this machine, and one with the next step."""
    words = [
        (walls.environment, "no credentials", "m2g's credentials"),
        (walls.network, "no network", "the network"),
        (walls.processes, "no other processes", "the variables of your other processes, such as your shell"),
        (walls.files, "no other files", "your files"),
        (walls.limits, "limits", "memory without a limit"),
    ]
    had = ", ".join(had for up, had, _ in words if up)
    open_to = ", ".join(reached for up, _, reached in words if not up)
    reason = f"; it could reach {open_to}: {make_visible(walls.problem, 300)}" if open_to else ""
    yield f"  the model's code had {had}{reason}"
    if open_to:
        yield f"  → {make_visible(walls.hint, 500)}"


def _test(test: SmokeTest) -> Iterator[str]:
    version = f" version {test.version}" if test.version else ""
    where = f" ({', '.join(test.environments)})" if test.environments else ""
    yield f"{'passed' if test.passed else 'FAILED'}  {make_visible(test.model, 60)}{version}{where}: {test.profile}"
    if test.python:
        ready = f"ready after {test.ready_seconds:.1f} s, " if test.ready_seconds else ""
        packages = {
            "runtime": f", packages of {test.runtime} (gate: {test.gate})",
            "environment": ", packages of the serving environment that it shares",
            "model": ", packages that the model requires",
        }
        yield f"  {ready}Python {test.python}{packages.get(test.packages, '')}"
    if test.problem:
        first, *rest = test.problem.splitlines()
        yield f"  {make_visible(first, 1000)}"
        yield from (f"  {make_visible(line, 400)}" for line in rest)
    if test.hint:
        yield f"  → {make_visible(test.hint, 500)}"
    timed = any(api.requests for api in test.asked)
    if test.asked:
        yield f"  {'':6}{'answer':<15}" + (
            f"{'requests':>8}{'p50 ms':>9}{'p90':>9}{'p99':>9}{'max':>9}" if timed else ""
        )
    for api in test.asked:
        yield from _api(api, timed=timed)
    yield from (f"  note: {make_visible(note, 400)}" for note in test.notes)


def _api(api: ApiTest, *, timed: bool) -> Iterator[str]:
    line = f"  {api.way.upper() if api.way == 'rest' else 'gRPC':<6}{_ANSWERS[api.answer]:<15}"
    if timed and api.requests:
        times = "".join(f"{value:>9.1f}" for value in (api.p50, api.p90, api.p99, api.longest))
        line += f"{api.requests:>8}{times}"
    yield line.rstrip()
    yield from (f"      {make_visible(problem, 600)}" for problem in api.problems)
