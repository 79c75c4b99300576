"""Findings for people (text), for scripts (JSON), and in the forms that CI systems show on a change."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from m2g.core.finding import Checked, Finding, Report, Severity
from m2g.core.sanitize import make_visible
from m2g.report.layout import WIDTH, clipped, encoded, joined, wrapped

FORMATS = ("text", "json", "github", "gitlab", "sarif", "junit")
_LONG = 2000
_NOBODY = "repository"
NOTHING = Checked()


def whole(report: Report, form: str) -> str:
    """A report in one of FORMATS."""
    if form == "json":
        return json(report)
    return render(report.findings, form, report.checked, report.built)


def render(findings: Sequence[Finding], form: str, checked: Checked = NOTHING, built: Sequence[str] = ()) -> str:
    """All findings in one of FORMATS; `checked` is what the last line tells when nothing is wrong."""
    match form:
        case "json":
            return json(Report(findings=tuple(findings), checked=checked, built=tuple(built)))
        case "github":
            return github(findings, checked)
        case "gitlab":
            from m2g.report import gitlab

            return gitlab.render(findings)
        case "sarif":
            from m2g.report import sarif

            return sarif.render(findings, checked)
        case "junit":
            from m2g.report import junit

            return junit.render(findings, built, verdict(findings, checked))
        case _:
            return text(findings, checked)


def text(findings: Sequence[Finding], checked: Checked = NOTHING) -> str:
    """By model, readable at 80 columns without colour; the last line is the verdict."""
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(_owner(finding), []).append(finding)
    lines: list[str] = []
    for owner in sorted(groups, key=lambda name: (name != _NOBODY, name)):
        lines += [
            clipped(make_visible(owner), WIDTH),
            *(line for item in groups[owner] for line in _paragraph(item)),
            "",
        ]
    return joined([*lines, verdict(findings, checked)])


def json(report: Report) -> str:
    """One object with `version: 1`, all fields of every finding, and a summary; documented in docs/reference."""
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
    return encoded(data)


def github(findings: Sequence[Finding], checked: Checked = NOTHING) -> str:
    """One workflow command a finding (docs.github.com, workflow commands), and the verdict as a plain line."""
    lines = []
    for item in findings:
        place = {"file": item.file, "line": str(item.line) if item.line else "", "title": item.rule}
        about = ",".join(f"{name}={_property(value)}" for name, value in place.items() if value)
        words = [_sentence(item), *([f"→ {item.hint}"] if item.hint else []), *(f"[{name}]" for name in _where(item))]
        lines.append(f"::{item.severity} {about}::{_data(' '.join(make_visible(part, _LONG) for part in words))}")
    return "\n".join([*lines, verdict(findings, checked)]) + "\n"


def verdict(findings: Sequence[Finding], checked: Checked = NOTHING) -> str:
    """One line: how many of which, or that all is well."""
    counts = [(_count(findings, severity), str(severity)) for severity in Severity]
    wrong = " and ".join(_plural(count, word) for count, word in counts if count)
    looked = ", ".join(
        _plural(count, word)
        for count, word in (
            (checked.models, "model"),
            (checked.overlays, "overlay"),
            (checked.objects, "object"),
            (checked.files, "file"),
        )
        if count
    )
    if checked.undecided:
        looked += (
            f"; {_plural(len(checked.undecided), 'rule')} of CRDs left to the API server (--format json names them)"
        )
    if not wrong:
        return f"valid: {looked or 'nothing to check'}"
    return f"{wrong} (checked: {looked})" if looked else wrong


def _paragraph(item: Finding) -> list[str]:
    line = f":{item.line}" if item.line else ""
    place = f" {make_visible(item.file, _LONG)}{line}" if item.file else ""
    about = clipped(make_visible(", ".join([*_where(item), item.rule])), WIDTH - 6)
    return [
        f"  {item.severity}{place}",
        *wrapped(make_visible(_sentence(item), _LONG), "    ", "    "),
        *(wrapped(make_visible(item.hint, _LONG), "    → ", "      ") if item.hint else []),
        f"    [{about}]",
    ]


def _sentence(item: Finding) -> str:
    return f"{item.path}: {item.message}" if item.path else item.message


def _where(item: Finding) -> list[str]:
    return [item.environment] if item.environment else []


def _owner(item: Finding) -> str:
    return item.model or _NOBODY


def _count(findings: Sequence[Finding], severity: Severity) -> int:
    return sum(item.severity is severity for item in findings)


def _plural(count: int, word: str) -> str:
    return f"{count} {word}{'s' * (count != 1)}"


def _data(words: str) -> str:
    return words.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(words: str) -> str:
    return _data(make_visible(words, _LONG)).replace(":", "%3A").replace(",", "%2C")
