"""The review of `m2g diff`: text for a terminal, Markdown for a pull request, JSON for scripts."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from m2g.core.results import ChangeKind
from m2g.core.sanitize import make_visible
from m2g.report.layout import count, encode_json, join_lines
from m2g.report.review_markdown import render_markdown
from m2g.report.review_words import (
    count_risks,
    format_contract,
    format_fact,
    format_heading,
    format_metric,
    format_title,
    summarize,
)
from m2g.review import Change, Review, Risk

FORMATS = ("text", "markdown", "json")
_LONG = 300
_SIGNS = {ChangeKind.ADDED: "+", ChangeKind.CHANGED: "~", ChangeKind.REMOVED: "-"}
_DIFF_LINES = 400
_OUTSIDE = 100


def render(review: Review, form: str) -> str:
    """The review in one of FORMATS."""
    match form:
        case "json":
            return render_json(review)
        case "markdown":
            return render_markdown(review)
        case _:
            return render_text(review)


def render_json(review: Review) -> str:
    """One object with `version: 1` and the fields of m2g.review.Review; see docs/reference/json-output.md."""
    return encode_json({"version": 1, "verdict": summarize(review), **msgspec.to_builtins(review)})


def render_text(review: Review) -> str:
    """The summary, then a paragraph for each change, the riskiest first."""
    lines = [summarize(review), f"compared with {make_visible(review.against, _LONG)}"]
    lines += ["", *_list_outside(review)] if review.outside else []
    for change in review.changes:
        lines += ["", *_paragraph(change)]
    if review.files:
        lines += ["", f"{count(len(review.files), 'other file')} changed:"]
        lines += [f"  {make_visible(path, _LONG)}" for path in review.files[:50]]
        lines += [f"  … and {len(review.files) - 50} more"] if len(review.files) > 50 else []
    lines += ["", *(f"note: {make_visible(note, _LONG)}" for note in review.notes)] if review.notes else []
    return join_lines(lines)


def _list_outside(review: Review) -> Iterator[str]:
    yield "in other files:"
    for concern in review.outside[:_OUTSIDE]:
        yield f"  ! {str(concern.risk).upper()} {make_visible(concern.message, 700)}"
    if rest := review.outside[_OUTSIDE:]:
        yield f"  … and {len(rest)} more: {count_risks([concern.risk for concern in rest])}"


def _paragraph(change: Change) -> Iterator[str]:
    mark = "" if change.risk is Risk.ROUTINE else f"  {str(change.risk).upper()}"
    yield make_visible(f"{_SIGNS[change.kind]} {format_heading(change)}: {format_title(change)}", _LONG) + mark
    for concern in change.concerns:
        yield f"  ! {make_visible(concern.message, 700)}"
    if change.contract is not None:
        yield f"  signature: {format_contract(change.contract)}"
        yield from (f"    {make_visible(reason, _LONG)}" for reason in change.contract.reasons)
    for metric in change.metrics:
        if metric.before != metric.after:
            yield make_visible(f"  metric {metric.name}: {format_metric(metric, change.kind)}", _LONG)
    for word, facts in (("param ", change.params), ("", change.lineage)):
        for fact in facts:
            yield make_visible(f"  {word}{fact.name}: {format_fact(fact, change.kind)}", _LONG)
    for item in change.objects:
        yield make_visible(f"  {_SIGNS[item.kind]} {item.object_kind} {item.namespace}/{item.name}", _LONG)
        if item.kind is not ChangeKind.REMOVED:
            yield from (f"      {make_visible(line, _LONG)}" for line in item.diff[:_DIFF_LINES])
            if len(item.diff) > _DIFF_LINES:
                yield f"      … {len(item.diff) - _DIFF_LINES} more lines"
