"""The error of a verb as JSON."""

from __future__ import annotations

import msgspec

from m2g.core.errors import Exit
from m2g.core.results import Failure
from m2g.report.layout import encode_json


def render_json(message: str, hint: str, code: Exit) -> str:
    """One object with `version: 1` and the error; see docs/reference/json-output.md."""
    return encode_json({"version": 1, **msgspec.to_builtins(Failure(message=message, hint=hint, exit_code=code.value))})
