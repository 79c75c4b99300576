"""A review as a comment on a pull request: the summary first, details folded, within the size limit of the forge.

All text from the registry and the repository is in code spans or fences, where a forge expands nothing.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from functools import partial

import msgspec

from m2g.core import sanitize
from m2g.core.results import ChangeKind
from m2g.report.layout import count
from m2g.report.review_words import count_risks, find_worst, format_contract, format_metric, format_title, summarize
from m2g.review import Change, Concern, FactChange, ObjectChange, Review, Risk

BUDGET = 60_000
"""Characters. GitHub takes 65,536."""
_MARKER = "<!-- m2g diff -->"
_LONG = 160
_ROWS = 60
_DIFF_LINES, _DIFF_WIDTH = 300, 500
_MENTION = re.compile(r"(?<!\w)([@#])(?=\w)")
_WORDS = {ChangeKind.ADDED: "added", ChangeKind.CHANGED: "changed", ChangeKind.REMOVED: "removed"}
_ICONS = {Risk.POWERFUL: "⛔", Risk.BREAKING: "🔴", Risk.CAUTION: "🟡", Risk.ROUTINE: "🟢"}


class _Block(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the comment, written only if there is room; a lower `rank` comes first.

    `least` is a lower bound of its length; `what` names it in the note about dropped parts.
    """

    rank: int
    write: Callable[[], str]
    least: int = 0
    what: str = ""


def render_markdown(review: Review, budget: int = BUDGET) -> str:
    """The comment: at most so many characters, with a note about dropped parts."""
    blocks = list(_blocks(review))
    room = budget - 600
    kept: dict[int, str] = {}
    for index, block in sorted(enumerate(blocks), key=lambda item: (item[1].rank, item[0])):
        text = block.write() if block.least < room else ""
        if text and len(text) < room:
            room -= len(text) + 1
            kept[index] = text
    dropped: dict[str, int] = {}
    for index, block in enumerate(blocks):
        if index not in kept:
            dropped[block.what] = dropped.get(block.what, 0) + 1
    lines = [text for _, text in sorted(kept.items())]
    if dropped:
        words = ", ".join(count(number, what) for what, number in dropped.items())
        lines.append(f"\n_Left out to stay below {budget:,} characters: {words}. Run `m2g diff` to see everything._")
    return "\n".join(lines) + "\n"


def _blocks(review: Review) -> Iterator[_Block]:
    yield _Block(rank=0, write=partial(_head, review))
    for change in review.changes:
        yield _Block(rank=1, write=partial(_row, change), least=80, what="table row")
    for change in review.changes:
        yield _Block(rank=2, write=partial(_section, change), least=80, what="detail")
        for item in change.objects:
            rank = 4 if change.risk is Risk.ROUTINE else 3
            least = sum(len(line) for line in item.diff[:_DIFF_LINES] if len(line) < _DIFF_WIDTH)
            yield _Block(rank=rank, write=partial(_object, item), least=least, what="diff")
    if review.files:
        yield _Block(rank=3, write=partial(_files, review), what="file list")
    for note in review.notes:
        yield _Block(rank=2, write=partial(_note, note), what="note")


def _head(review: Review) -> str:
    head = f"{_MARKER}\n## {_ICONS[find_worst(review)]} {summarize(review)}\n\nCompared with {_code(review.against)}."
    if review.outside:
        listed = "\n".join(_item(concern) for concern in review.outside[:_ROWS])
        rest = [concern.risk for concern in review.outside[_ROWS:]]
        more = f"\n- … and {len(rest)} more: {count_risks(rest)}" if rest else ""
        head = f"{head}\n\n**In other files**\n\n{listed}{more}"
    if not review.changes:
        return head
    columns = "| | model | environment | change | signature | metrics | notes |\n|---|---|---|---|---|---|---|"
    return f"{head}\n\n{columns}"


def _item(concern: Concern) -> str:
    return f"- **{concern.risk}** {_code(concern.message, 500)}"


def _files(review: Review) -> str:
    listed = "\n".join(f"- {_code(path)}" for path in review.files[:_ROWS])
    more = f"\n- … and {len(review.files) - _ROWS} more" if len(review.files) > _ROWS else ""
    return _folded(f"{count(len(review.files), 'other file')} changed", listed + more)


def _note(note: str) -> str:
    return f"\n> note: {_code(note, 400)}"


def _row(change: Change) -> str:
    first = _code(change.concerns[0].message) if change.concerns else ""
    more = f" and {len(change.concerns) - 1} more" if len(change.concerns) > 1 else ""
    moved_metrics = [metric for metric in change.metrics if metric.before != metric.after]
    cells = [
        f"{_ICONS[change.risk]} {change.risk}",
        _code(change.model, 80),
        _code(change.environment),
        _code(format_title(change)),
        format_contract(change.contract) if change.contract else "",
        "<br>".join(_code(f"{metric.name} {format_metric(metric, change.kind)}", 80) for metric in moved_metrics[:3]),
        first + more,
    ]
    return f"| {' | '.join(cells)} |"


def _section(change: Change) -> str:
    """The details of one change that the table has no room for, folded."""
    summary = f"{_html(change.model, 80)} in {_html(change.environment)}: {_html(format_title(change))}"
    return _folded(summary, "\n\n".join(_facts(change)) or "Only the built objects changed.")


def _facts(change: Change) -> Iterator[str]:
    if change.concerns:
        yield "\n".join(_item(concern) for concern in change.concerns)
    if change.contract is not None:
        reasons = "".join(f"\n- {_code(reason)}" for reason in change.contract.reasons[:_ROWS])
        verdict = f"**Signature: {format_contract(change.contract)}**{_more(len(change.contract.reasons))}"
        yield f"{verdict}\n{reasons}".rstrip()
    if change.metrics:
        rows = [
            f"| {_code(m.name)} | {_code(format_metric(m, change.kind)) if m.before != m.after else 'unchanged'} |"
            for m in change.metrics[:_ROWS]
        ]
        yield f"**Metrics**{_more(len(change.metrics))}\n\n| metric | |\n|---|---|\n" + "\n".join(rows)
    for name, facts in (("Parameters", change.params), ("Lineage", change.lineage)):
        if facts:
            yield f"**{name}**{_more(len(facts))}\n\n{_table(facts)}"


def _table(facts: tuple[FactChange, ...]) -> str:
    rows = [f"| {_code(fact.name)} | {_code(fact.before)} | {_code(fact.after)} |" for fact in facts[:_ROWS]]
    return "| | before | after |\n|---|---|---|\n" + "\n".join(rows)


def _more(number: int) -> str:
    return f" (the first {_ROWS} of {number})" if number > _ROWS else ""


def _object(item: ObjectChange) -> str:
    added = sum(line.startswith("+") for line in item.diff)
    removed = sum(line.startswith("-") for line in item.diff)
    name = f"{item.namespace}/{item.name}" if item.namespace else item.name
    summary = f"{_html(item.object_kind)} {_html(name)} {_WORDS[item.kind]} (+{added} −{removed})"
    lines = [sanitize.make_visible(line, _DIFF_WIDTH) for line in item.diff[:_DIFF_LINES]]
    if len(item.diff) > _DIFF_LINES:
        lines.append(f"@@ {len(item.diff) - _DIFF_LINES} more lines @@")
    return _folded(summary, sanitize.format_code_block("\n".join(_silent(line) for line in lines), "diff"))


def _folded(summary: str, body: str) -> str:
    """A folded section; the empty lines turn Markdown on again inside it."""
    return f"\n<details><summary>{summary}</summary>\n\n{body}\n\n</details>"


def _code(text: str, limit: int = _LONG) -> str:
    return sanitize.format_code(_silent(text), limit) if text else ""


def _html(text: str, limit: int = _LONG) -> str:
    """Code for a summary, where Markdown is off."""
    return f"<code>{html.escape(_silent(sanitize.make_visible(text, limit)))}</code>"


def _silent(text: str) -> str:
    """Without mentions and references: code has none, but a reply by mail quotes it as plain text (dependabot#3157)."""
    return _MENTION.sub(r"\1 ", text)
