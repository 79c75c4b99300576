"""What KServe's runtimes say to a release: the seam between the profile and the gate."""

from __future__ import annotations

from collections.abc import Mapping

from m2g.model import Release
from m2g.verdict import Verdict


def of(_release: Release) -> Mapping[str, Verdict]:
    """Verdicts by runtime; none until the gate is in the house."""
    return {}
