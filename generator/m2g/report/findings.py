"""Findings as text, as JSON, and in the formats that CI systems show on a pull request."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from m2g.core.finding import Checked, Finding, Report, Severity
from m2g.core.sanitize import disarm_inline_commands, make_visible
from m2g.report.layout import WIDTH, clip, count, encode_json, format_message, join_lines, wrap

FORMATS = ("text", "json", "github", "gitlab", "sarif", "junit")
_LONG = 2000
NOTHING = Checked()


def render_report(report: Report, form: str, width: int = WIDTH) -> str:
    """A report in one of FORMATS."""
    if form == "json":
        return render_json(report)
    if form == "text":
        return render_text(report.findings, report.checked, report.heading, width)
    return render(report.findings, form, report.checked, report.built)


def render(findings: Sequence[Finding], form: str, checked: Checked = NOTHING, built: Sequence[str] = ()) -> str:
    """All findings in one of FORMATS; the last line reports what was `checked`."""
    match form:
        case "json":
            return render_json(Report(findings=tuple(findings), checked=checked, built=tuple(built)))
        case "github":
            return render_github(findings, checked)
        case "gitlab":
            from m2g.report import gitlab

            return gitlab.render(findings)
        case "sarif":
            from m2g.report import sarif

            return sarif.render(findings, checked)
        case "junit":
            from m2g.report import junit

            return junit.render(findings, built, summarize(findings, checked))
        case _:
            return render_text(findings, checked)


def render_text(
    findings: Sequence[Finding], checked: Checked = NOTHING, heading: str = "repository", width: int = WIDTH
) -> str:
    """The findings by model, at most `width` columns wide and without color; the last line is the summary.

    Findings about no model come first, below `heading`. Models with the same findings are named together.
    """
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.model or heading, []).append(finding)
    same: dict[tuple[str, ...], list[str]] = {}
    for owner in sorted(groups, key=lambda name: (name != heading, name)):
        said = tuple(line for item in groups[owner] for line in _paragraph(item, width))
        same.setdefault(said, []).append(clip(make_visible(owner), width - 6))
    lines = [line for said, owners in same.items() for line in (*_name(owners, width), *said, "")]
    return join_lines([*lines, summarize(findings, checked)])


def _name(owners: Sequence[str], width: int) -> list[str]:
    return wrap(", ".join(owners), "", "    ", width) if len(owners) > 1 else [*owners]


def render_json(report: Report) -> str:
    """One object with `version: 1`, all fields of every finding, and a summary; see docs/reference/json-output.md."""
    findings = report.findings
    data = {
        "version": 1,
        "shard": report.shard,
        "built": list(report.built),
        "findings": [{name: getattr(item, name) for name in Finding.__struct_fields__} for item in findings],
        "summary": {
            "errors": _count(findings, Severity.ERROR),
            "warnings": _count(findings, Severity.WARNING),
            **msgspec.to_builtins(report.checked),
        },
    }
    return encode_json(data)


def render_github(findings: Sequence[Finding], checked: Checked = NOTHING) -> str:
    """One workflow command for each finding (docs.github.com, workflow commands), then the summary as a plain line."""
    lines = []
    for item in findings:
        given = {"file": item.file, "line": str(item.line) if item.line else "", "title": item.rule}
        properties = ",".join(f"{name}={_escape_property(value)}" for name, value in given.items() if value)
        parts = [
            format_message(item),
            *([f"→ {item.hint}"] if item.hint else []),
            *([f"[{item.environment}]"] if item.environment else []),
        ]
        text = _escape_data(" ".join(make_visible(part, _LONG) for part in parts))
        lines.append(f"::{item.severity} {properties}::{text}")
    return disarm_inline_commands("\n".join([*lines, summarize(findings, checked)]) + "\n")


def summarize(findings: Sequence[Finding], checked: Checked = NOTHING) -> str:
    """One line: how many errors and warnings there are, or that everything is valid."""
    counts = [(_count(findings, severity), str(severity)) for severity in Severity]
    found = " and ".join(count(number, word) for number, word in counts if number)
    covered = ", ".join(
        count(number, word)
        for number, word in (
            (checked.models, "model"),
            (checked.overlays, "overlay"),
            (checked.objects, "object"),
            (checked.files, "file"),
        )
        if number
    )
    if checked.undecided:
        covered += f"; {count(len(checked.undecided), 'CRD rule')} left to the API server (--format json lists them)"
    verdict = f"{found} (checked: {covered})" if covered else found
    if not found:
        verdict = f"valid: {covered or 'nothing to check'}"
    return f"{verdict}; bounds: {make_visible(checked.bounds)}" if checked.bounds else verdict


def _paragraph(item: Finding, width: int) -> list[str]:
    line = f":{item.line}" if item.line else ""
    location = f" {make_visible(item.file, _LONG)}{line}" if item.file else ""
    labels = ", ".join(label for label in (item.environment, item.rule) if label)
    return [
        f"  {item.severity}{location}",
        *wrap(make_visible(format_message(item), _LONG), "    ", "    ", width),
        *(wrap(make_visible(item.hint, _LONG), "    → ", "      ", width) if item.hint else []),
        f"    [{clip(make_visible(labels), width - 6)}]",
    ]


def _count(findings: Sequence[Finding], severity: Severity) -> int:
    return sum(item.severity is severity for item in findings)


def _escape_data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape_data(make_visible(text, _LONG)).replace(":", "%3A").replace(",", "%2C")
