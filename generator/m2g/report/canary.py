"""The result of `m2g canary` as text and JSON."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from m2g.core.results import CanaryResult
from m2g.core.sanitize import make_visible
from m2g.report import findings
from m2g.report.layout import encode_json, join_lines


def render(result: CanaryResult, form: str) -> str:
    """Who gets which traffic now, the files that changed, and the next commands."""
    if form == "json":
        return encode_json({"version": 1, **msgspec.to_builtins(result)})
    parts = [join_lines(_list_lines(result))]
    if result.findings:
        parts.insert(0, findings.render_text(result.findings))
    return "".join(parts)


def _list_lines(result: CanaryResult) -> Iterator[str]:
    yield make_visible(_conclude(result), 400)
    yield from (f"  ~ {make_visible(file, 300)}" for file in result.files)
    if result.next:
        yield ""
        yield "next:"
        yield from (f"  {command}" for command in result.next)


def _conclude(result: CanaryResult) -> str:
    place = f"{result.model} in {result.environment}"
    verb = "gets" if result.written else "would get"
    rest = f"version {result.stable} the other {100 - result.percent} %"
    match result.action:
        case "started" | "stepped":
            before = (
                "" if result.before is None or result.before == result.percent else f" in place of {result.before} %"
            )
            return f"{place}: version {result.candidate} {verb} {result.percent} % of the traffic{before}, {rest}"
        case "promoted":
            verb = "is" if result.written else "would become"
            return f"{place}: version {result.candidate} {verb} the stable version, in place of {result.stable}"
        case "aborted":
            return f"{place}: version {result.stable} {verb} all traffic"
        case "refused":
            return f"nothing changes: version {result.candidate} cannot be a candidate of {place}"
        case _:
            return f"nothing changes: {place} is as it should be"
