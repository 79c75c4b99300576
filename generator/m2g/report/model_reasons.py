"""`m2g explain --model` as text and JSON."""

from __future__ import annotations

import msgspec

from m2g.core.results import ModelReasons
from m2g.core.sanitize import make_visible
from m2g.report.layout import encode_json, join_lines, wrap

_LONG = 2000


def render(reasons: ModelReasons, form: str) -> str:
    """The decisions about a model, then those of each environment, as `text` or `json`."""
    if form == "json":
        return encode_json({"version": 1, **msgspec.to_builtins(reasons)})
    lines = [make_visible(reasons.model), *_list(reasons.reasons)]
    for one in reasons.environments:
        lines += ["", f"{one.environment}: {one.outcome}", *_list(one.reasons)]
        if one.next:
            lines += wrap(make_visible(one.next, _LONG), "  → ", "    ")
    return join_lines(lines)


def _list(reasons: tuple[str, ...]) -> list[str]:
    return [line for reason in reasons for line in wrap(make_visible(reason, _LONG), "  - ", "    ")]
