"""The verdict of whether a runtime can load a model."""

from __future__ import annotations

from typing import Literal

from m2g.core.model import Value


class Reason(Value, frozen=True, kw_only=True):
    """One reason for a verdict, and how to fix it."""

    text: str
    fix: str = ""


class Verdict(Value, frozen=True, kw_only=True):
    """Whether the runtime can load the model. `unknown` means that the facts are not sufficient."""

    answer: Literal["serves", "fails", "unknown"]
    runtime: str
    reasons: tuple[Reason, ...] = ()
