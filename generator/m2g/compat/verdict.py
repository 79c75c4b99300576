"""The answer to "does this runtime load this model?", as `compat` gives it and all others read it."""

from __future__ import annotations

from typing import Literal

from m2g.core.model import Value


class Reason(Value, frozen=True, kw_only=True):
    """One reason of a verdict, and the way out."""

    text: str
    fix: str = ""


class Verdict(Value, frozen=True, kw_only=True):
    """Whether the runtime of this name loads the model; `unknown` where the facts do not tell."""

    answer: Literal["serves", "fails", "unknown"]
    runtime: str
    reasons: tuple[Reason, ...] = ()
