"""The end of `m2g predict` as text."""

from __future__ import annotations

from m2g.core.results import Predictions
from m2g.core.sanitize import make_visible
from m2g.report.layout import join_lines
from m2g.report.smoke import describe_walls


def render(done: Predictions) -> str:
    """What was written, and what separated the model's code from this machine."""
    named = make_visible(done.named, 100)
    return join_lines([f"wrote {done.output} with {named} (Python {done.python})", *describe_walls(done.walls)])
