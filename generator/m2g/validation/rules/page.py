"""The documentation of a rule, as a value that the reports show."""

from __future__ import annotations

from m2g.core.finding import Severity
from m2g.core.model import Value


class RulePage(Value, frozen=True, kw_only=True):
    """The documentation of one rule. `finding` is the rule id that its findings have.

    A finding that belongs to no rule has no reason, source or example.
    """

    id: str
    finding: str
    severity: Severity
    summary: str
    fix: str
    why: str = ""
    link: str = ""
    covers: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    bad: str = ""
    good: str = ""
    given: str = ""
    """The context that the example needs, as YAML."""
