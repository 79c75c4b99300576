"""The words that every form of a review shares."""

from __future__ import annotations

from m2g.core.results import ChangeKind
from m2g.review import Change, Contract, Metric, Moved, Review, Risk


def verdict(review: Review) -> str:
    """The answer in one line."""
    if not review.changes:
        others = f"; {count(len(review.files), 'other file')} changed" if review.files else ""
        return f"no model changes{others}"
    parts = [
        f"{sum(change.risk is risk for change in review.changes)} {risk}"
        for risk in Risk
        if any(change.risk is risk for change in review.changes)
    ]
    models = len({change.slug for change in review.changes})
    return f"{count(len(review.changes), 'change')} in {count(models, 'model')}: {', '.join(parts)}"


def heading(change: Change) -> str:
    """Model and environment."""
    return f"{change.model} in {change.environment}"


def title(change: Change) -> str:
    """What happened, in a few words."""
    match change.kind:
        case ChangeKind.ADDED:
            return f"version {change.after}, new" if change.after else "new"
        case ChangeKind.REMOVED:
            return f"version {change.before} → removed" if change.before else "removed"
        case ChangeKind.CHANGED:
            if change.before == change.after:
                return f"version {change.after}, other settings" if change.after else "other settings"
            return f"version {change.before or 'none'} → {change.after or 'none'}"


def contract(found: Contract) -> str:
    """The verdict on the signature as a word for people."""
    return str(found.verdict) if found.reasons or found.verdict != "unknown" else "unknown: neither version has one"


def amount(metric: Metric, kind: ChangeKind = ChangeKind.CHANGED) -> str:
    """`0.5 → 0.6 (+0.1, +20.0%)`; the one value of a model that was added or removed."""
    if kind is not ChangeKind.CHANGED:
        return _number(metric.after if kind is ChangeKind.ADDED else metric.before)
    both = f"{_number(metric.before)} → {_number(metric.after)}"
    if metric.delta is None:
        return both
    share = f", {metric.delta / abs(metric.before):+.1%}" if isinstance(metric.before, float) and metric.before else ""
    return f"{both} ({metric.delta:+.4g}{share})"


def moved(fact: Moved, kind: ChangeKind = ChangeKind.CHANGED) -> str:
    """`before → after`; the one value of a model that was added or removed."""
    if kind is not ChangeKind.CHANGED:
        return fact.after or fact.before
    return f"{fact.before or 'none'} → {fact.after or 'none'}"


def count(number: int, word: str) -> str:
    """`1 change`, `2 changes`."""
    return f"{number} {word}{'s' * (number != 1)}"


def _number(value: float | str | None) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else f"{value:.6g}"
