"""`m2g doctor` as text and JSON."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from m2g.core.results import Check, Diagnosis
from m2g.core.sanitize import make_visible
from m2g.report.layout import count, encode_json, join_lines, wrap

_LONG = 600


def render(diagnosis: Diagnosis, form: str, width: int) -> str:
    """All checks as `text` of at most `width` columns, commands aside, or as `json`."""
    if form == "json":
        return encode_json({"version": 1, **msgspec.to_builtins(diagnosis)})
    problems = sum(check.state == "problem" for check in diagnosis.checks)
    warnings = sum(check.state == "warning" for check in diagnosis.checks)
    summary = f"{count(problems, 'problem')}, {count(warnings, 'warning')}" if problems or warnings else "all is well"
    lines = [line for check in diagnosis.checks for line in _lines(check, width)]
    return join_lines([*lines, "", summary])


def _lines(check: Check, width: int) -> Iterator[str]:
    words = f"{make_visible(check.name)}: {make_visible(check.message, _LONG)}"
    yield from wrap(words, f"  {check.state:8} ", " " * 11, width)
    if check.step:
        yield f"           → {make_visible(check.step, _LONG)}"  # one line, so that a command can be pasted
