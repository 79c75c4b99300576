"""Findings as GitLab's Code Quality report (docs.gitlab.com, ci/testing/code_quality): a list of issues."""

from __future__ import annotations

from collections.abc import Sequence

from m2g.core.finding import Finding, Severity
from m2g.core.sanitize import make_visible
from m2g.report.layout import encode_json, format_message, make_fingerprints

DEFAULT_FILE = "m2g.yaml"
"""The file of a finding without a file: an issue must have one."""
_LONG = 2000
_SEVERITIES = {Severity.ERROR: "major", Severity.WARNING: "minor"}


def render(findings: Sequence[Finding]) -> str:
    """The whole report. Without findings it is `[]`, so that GitLab shows what was fixed."""
    return encode_json([_issue(*pair) for pair in zip(findings, make_fingerprints(findings), strict=True)])


def _issue(item: Finding, fingerprint: str) -> dict[str, object]:
    environment = f" [{item.environment}]" if item.environment else ""
    hint = f" → {item.hint}" if item.hint else ""
    return {
        "description": make_visible(format_message(item), _LONG) + make_visible(f"{hint}{environment}", _LONG),
        "check_name": make_visible(item.rule),
        "fingerprint": fingerprint,
        "severity": _SEVERITIES[item.severity],
        "location": {"path": make_visible(item.file or DEFAULT_FILE, _LONG), "lines": {"begin": max(item.line, 1)}},
    }
