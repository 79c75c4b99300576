"""The phrases that the text and the Markdown of a review share."""

from __future__ import annotations

from collections.abc import Sequence

from m2g.core.results import ChangeKind
from m2g.report.layout import count
from m2g.review import Change, Contract, FactChange, Metric, Review, Risk


def summarize(review: Review) -> str:
    """The review in one line."""
    outside = [concern.risk for concern in review.outside]
    parts = [f"{count_risks(outside)} in other files"] if outside else []
    if review.changes:
        models = len({change.slug for change in review.changes})
        heading = f"{count(len(review.changes), 'change')} in {count(models, 'model')}"
        parts.append(f"{heading}: {count_risks([change.risk for change in review.changes])}")
    elif not outside:
        others = f"; {count(len(review.files), 'other file')} changed" if review.files else ""
        return f"no model changes{others}"
    return "; ".join(parts)


def find_worst(review: Review) -> Risk:
    """The highest risk of all that changed."""
    found = {concern.risk for concern in review.outside} | {change.risk for change in review.changes}
    return next((risk for risk in Risk if risk in found), Risk.ROUTINE)


def count_risks(risks: Sequence[Risk]) -> str:
    """`1 powerful, 2 caution`: the risks, the highest first, with their numbers."""
    return ", ".join(f"{risks.count(risk)} {risk}" for risk in Risk if risk in risks)


def format_heading(change: Change) -> str:
    """Model and environment."""
    return f"{change.model} in {change.environment}"


def format_title(change: Change) -> str:
    """What happened, in a few words."""
    match change.kind:
        case ChangeKind.ADDED:
            return f"version {change.after}, new" if change.after else "new"
        case ChangeKind.REMOVED:
            return f"version {change.before} → removed" if change.before else "removed"
        case ChangeKind.CHANGED:
            if change.before == change.after:
                return f"version {change.after}, settings changed" if change.after else "settings changed"
            return f"version {change.before or 'none'} → {change.after or 'none'}"


def format_contract(contract: Contract) -> str:
    """The verdict on the signature."""
    unsigned = contract.verdict == "unknown" and not contract.reasons
    return "unknown: neither version has a signature" if unsigned else str(contract.verdict)


def format_metric(metric: Metric, kind: ChangeKind = ChangeKind.CHANGED) -> str:
    """`0.5 → 0.6 (+0.1, +20.0%)`; the one value of a model that was added or removed."""
    if kind is not ChangeKind.CHANGED:
        return _number(metric.after if kind is ChangeKind.ADDED else metric.before)
    both = f"{_number(metric.before)} → {_number(metric.after)}"
    if metric.delta is None:
        return both
    share = f", {metric.delta / abs(metric.before):+.1%}" if isinstance(metric.before, float) and metric.before else ""
    return f"{both} ({metric.delta:+.4g}{share})"


def format_fact(fact: FactChange, kind: ChangeKind = ChangeKind.CHANGED) -> str:
    """`before → after`; the one value of a model that was added or removed."""
    if kind is not ChangeKind.CHANGED:
        return fact.after or fact.before
    return f"{fact.before or 'none'} → {fact.after or 'none'}"


def _number(value: float | str | None) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else f"{value:.6g}"
