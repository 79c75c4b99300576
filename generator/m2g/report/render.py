"""The result of `m2g render` as text and as JSON."""

from __future__ import annotations

from collections import Counter

import msgspec

from m2g.core.finding import Severity
from m2g.core.results import ChangeKind, ReleaseChange, RenderResult, Served
from m2g.core.sanitize import make_visible
from m2g.report.layout import count, encode_json

_SIGNS = {ChangeKind.ADDED: "+", ChangeKind.CHANGED: "~", ChangeKind.REMOVED: "-"}
_DIFF_LINES = 60
_LEAVE_OUT = frozenset({"image-missing", "protocol-changes", "release-withheld", "runtime-fails"})
"""Warnings that leave a release out."""


def render_text(outcome: RenderResult) -> str:
    """Changed releases, files (for `--check` a short diff), and a summary line."""
    how = {(served.slug, served.environment): served for served in outcome.served}
    lines = []
    for change in outcome.releases:
        lines.append(_release(change))
        if (served := how.pop((change.slug, change.environment), None)) is not None:
            lines.append(f"    {_served(served)}")
    lines += [f"~ {make_visible(served.model, 60)}  {served.environment}: {_served(served)}" for served in how.values()]
    if outcome.check:
        lines += _diffs(outcome)
    elif not outcome.written:
        lines += [f"  {_SIGNS[file.kind]} {make_visible(file.path, 300)}" for file in outcome.files]
    return "\n".join([*lines, summarize(outcome)]) + "\n"


def render_json(outcome: RenderResult) -> str:
    """One object; its shape is m2g.core.results.Outcome with `version: 1`, documented in docs/reference."""
    return encode_json({"version": 1, **msgspec.to_builtins(outcome)})


def summarize(outcome: RenderResult) -> str:
    """The last line: what was written, or that everything is up to date."""
    findings = f"{_left_out(outcome)}; {count(len(outcome.findings), 'finding')}" if outcome.findings else ""
    models = count(outcome.models, "model")
    if not outcome.files:
        none = "" if outcome.models or findings else "; see what a model lacks: m2g explain --model NAME"
        return f"up to date: {models}{none}{findings}"
    kinds = [(sum(file.kind is kind for file in outcome.files), kind) for kind in ChangeKind]
    counts = ", ".join(f"{number} {kind}" for number, kind in kinds if number)
    verb = "written" if outcome.written else "out of date" if outcome.check else "would be written"
    return f"{verb}: {counts} file{'s' * (len(outcome.files) != 1)} of {models}{findings}"


def _left_out(outcome: RenderResult) -> str:
    """How many releases were left out, and by which rules: `; left out: 2 releases (image-missing 1, …)`."""
    changed = {(change.model, change.environment) for change in outcome.releases}
    why: dict[tuple[str, str], str] = {}
    for finding in outcome.findings:
        place = (finding.model, finding.environment)
        if all(place) and place not in changed and (finding.severity is Severity.ERROR or finding.rule in _LEAVE_OUT):
            why.setdefault(place, finding.rule)
    if not why:
        return ""
    rules = ", ".join(f"{rule} {number}" for rule, number in sorted(Counter(why.values()).items()))
    return f"; left out: {count(len(why), 'release')} ({rules})"


def _release(change: ReleaseChange) -> str:
    moved = " → ".join(part for part in (change.before, change.after) if part)
    if change.kind is ChangeKind.REMOVED:
        moved = f"{change.before} → removed"
    elif change.before == change.after:
        moved = f"{change.after} (metadata)"
    follows = f"  ({make_visible(change.follows, 100)})" if change.follows else ""
    return f"{_SIGNS[change.kind]} {make_visible(change.model, 60)}  {change.environment}: {moved}{follows}"


def _served(served: Served) -> str:
    was = f", was {served.before}" if served.before else ""
    return f"served by {served.profile}{was}: {make_visible(served.reason, 300)}"


def _diffs(outcome: RenderResult) -> list[str]:
    lines = [make_visible(line, 300) for file in outcome.files for line in file.diff]
    if len(lines) <= _DIFF_LINES:
        return lines
    return [*lines[:_DIFF_LINES], f"… {len(lines) - _DIFF_LINES} more lines"]
