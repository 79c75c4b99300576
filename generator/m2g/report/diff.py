"""A review for people at a terminal (text), on a pull request (Markdown) and for scripts (JSON)."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from m2g.core.results import ChangeKind
from m2g.core.sanitize import make_visible
from m2g.report.layout import encoded, joined
from m2g.report.review_markdown import markdown
from m2g.report.review_words import amount, contract, count, heading, moved, title, verdict
from m2g.review import Change, Review, Risk

FORMATS = ("text", "markdown", "json")
_LONG = 300
_SIGNS = {ChangeKind.ADDED: "+", ChangeKind.CHANGED: "~", ChangeKind.REMOVED: "-"}
_DIFF_LINES = 400


def render(review: Review, form: str) -> str:
    """The review in one of FORMATS."""
    match form:
        case "json":
            return json(review)
        case "markdown":
            return markdown(review)
        case _:
            return text(review)


def json(review: Review) -> str:
    """One object; its shape is m2g.review.Review with `version: 1`, documented in docs/reference."""
    return encoded({"version": 1, "verdict": verdict(review), **msgspec.to_builtins(review)})


def text(review: Review) -> str:
    """The verdict, then one paragraph a change, the riskiest first."""
    lines = [verdict(review), f"compared with {make_visible(review.against, _LONG)}"]
    for change in review.changes:
        lines += ["", *_paragraph(change)]
    if review.files:
        lines += ["", f"{count(len(review.files), 'other file')} changed:"]
        lines += [f"  {make_visible(path, _LONG)}" for path in review.files[:50]]
        lines += [f"  … and {len(review.files) - 50} more"] if len(review.files) > 50 else []
    lines += ["", *(f"note: {make_visible(note, _LONG)}" for note in review.notes)] if review.notes else []
    return joined(lines)


def _paragraph(change: Change) -> Iterator[str]:
    mark = "" if change.risk is Risk.ROUTINE else f"  {str(change.risk).upper()}"
    yield make_visible(f"{_SIGNS[change.kind]} {heading(change)}: {title(change)}", _LONG) + mark
    for concern in change.concerns:
        yield f"  ! {make_visible(concern.message, 700)}"
    if change.contract is not None:
        yield f"  signature: {contract(change.contract)}"
        yield from (f"    {make_visible(reason, _LONG)}" for reason in change.contract.reasons)
    for metric in change.metrics:
        if metric.before != metric.after:
            yield make_visible(f"  metric {metric.name}: {amount(metric, change.kind)}", _LONG)
    for word, facts in (("param ", change.params), ("", change.lineage)):
        for fact in facts:
            yield make_visible(f"  {word}{fact.name}: {moved(fact, change.kind)}", _LONG)
    for item in change.objects:
        yield make_visible(f"  {_SIGNS[item.kind]} {item.object_kind} {item.namespace}/{item.name}", _LONG)
        if item.kind is not ChangeKind.REMOVED:
            yield from (f"      {make_visible(line, _LONG)}" for line in item.diff[:_DIFF_LINES])
            if len(item.diff) > _DIFF_LINES:
                yield f"      … {len(item.diff) - _DIFF_LINES} more lines"
