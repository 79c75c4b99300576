"""The result of `m2g hold` and `m2g rollback` as text and JSON."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from m2g.core.results import HoldResult
from m2g.core.sanitize import make_visible
from m2g.report import findings
from m2g.report.layout import encode_json, join_lines, wrap


def render(result: HoldResult, form: str) -> str:
    """What holds now, the files that changed, and the next commands."""
    if form == "json":
        return encode_json({"version": 1, **msgspec.to_builtins(result)})
    parts = [join_lines(_list_lines(result))]
    if result.findings:
        parts.insert(0, findings.render_text(result.findings))
    return "".join(parts)


def _list_lines(result: HoldResult) -> Iterator[str]:
    place = f"{make_visible(result.model, 80)} in {result.environment}"
    would = "" if (result.written and not result.branch) or result.action == "unchanged" else "would be "
    yield make_visible(_conclude(result, place, would), 400)
    if result.origin:
        yield f"  its record comes from commit {make_visible(result.origin, 120)}"
    if result.action in ("held", "rolled-back"):
        for name, text in (("reason", result.reason), ("owner", result.owner), ("until", result.until)):
            if text:
                yield from wrap(make_visible(text, 600), f"  {name}: ", "    ")
    for note in result.notes:
        yield from wrap(make_visible(note, 600), "  note: ", "    ")
    yield from (f"  ~ {make_visible(file, 300)}" for file in result.files)
    if result.branch:
        yield f"  proposed: {make_visible(result.branch, 300)}"
        yield from ([f"  {make_visible(result.url, 300)}"] if result.url else [])
    if result.next:
        yield ""
        yield "next:"
        yield from (f"  {command}" for command in result.next)


def _conclude(result: HoldResult, place: str, would: str) -> str:
    match result.action:
        case "held":
            return f"{place} {would or 'is '}held at version {result.model_version}"
        case "rolled-back":
            before = f" from version {result.before}" if result.before else ""
            return f"{place} {would or 'is '}rolled back{before} to {result.model_version}, and held there"
        case "ended":
            then = "would follow" if would else "follows"
            return f"{place} {then} the registry again; version {result.model_version} runs until the next render"
        case _:
            return f"nothing changes: {place} is as it should be, at version {result.model_version}"
