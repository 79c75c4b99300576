"""Findings as GitLab's Code Quality report (docs.gitlab.com, ci/testing/code_quality): a list of issues."""

from __future__ import annotations

from collections.abc import Sequence

from m2g.core.finding import Finding, Severity
from m2g.core.sanitize import make_visible
from m2g.report.layout import encoded, fingerprints

NOWHERE = "m2g.yaml"
"""The file of a finding that is about none: an issue must have one."""
_LONG = 2000
_SEVERITIES = {Severity.ERROR: "major", Severity.WARNING: "minor"}


def render(findings: Sequence[Finding]) -> str:
    """The whole report; without findings it is `[]`, so that GitLab says what was solved."""
    return encoded([_issue(*pair) for pair in zip(findings, fingerprints(findings), strict=True)])


def _issue(item: Finding, fingerprint: str) -> dict[str, object]:
    about = f" [{item.environment}]" if item.environment else ""
    hint = f" → {item.hint}" if item.hint else ""
    path = f"{item.path}: " if item.path else ""
    return {
        "description": make_visible(f"{path}{item.message}", _LONG) + make_visible(f"{hint}{about}", _LONG),
        "check_name": make_visible(item.rule),
        "fingerprint": fingerprint,
        "severity": _SEVERITIES[item.severity],
        "location": {"path": make_visible(item.file or NOWHERE, _LONG), "lines": {"begin": max(item.line, 1)}},
    }
