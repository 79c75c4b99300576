"""What there is to say of a rule, as a value that a report can show."""

from __future__ import annotations

from m2g.core.finding import Severity
from m2g.core.model import Value


class Page(Value, frozen=True, kw_only=True):
    """All that there is to say of one rule. `finding` is the rule id under which it is reported.

    A finding that is of no rule has neither reason, source nor example.
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
    """What else is so in the example."""
