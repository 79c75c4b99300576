"""Findings as JUnit XML, which CI systems show as tests: a suite for each model, a test for each overlay or file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from m2g.core.finding import Finding, Severity
from m2g.core.sanitize import disarm_inline_commands, make_visible
from m2g.report.gitlab import DEFAULT_FILE
from m2g.report.layout import format_message, join_lines
from m2g.repository import layout

_LONG = 2000
_NOBODY = "repository"
_Tests: TypeAlias = Mapping[str, Sequence[Finding]]


def render(findings: Sequence[Finding], overlays: Sequence[str], verdict: str) -> str:
    """The whole report, in ASCII. An error is a failure; a warning is output of a test that passes.

    `overlays` (models/<slug>/overlays/<env>) and m2g.yaml are always tests, also without findings: CI systems treat a
    report without tests as missing.
    """
    suites = _suites(findings, overlays)
    root = Element("testsuites", _counts([test for tests in suites.values() for test in tests.values()]))
    root.set("name", "m2g validate")
    for owner in sorted(suites, key=lambda name: (name != _NOBODY, name)):
        _add_suite(root, owner, suites[owner], verdict if owner == _NOBODY else "")
    indent(root)
    written: bytes = tostring(root, encoding="us-ascii", xml_declaration=True)
    return disarm_inline_commands(written.decode(), "#&#35;") + "\n"


def _suites(findings: Sequence[Finding], overlays: Sequence[str]) -> dict[str, dict[str, list[Finding]]]:
    suites: dict[str, dict[str, list[Finding]]] = {_NOBODY: {DEFAULT_FILE: []}}
    for overlay in overlays:
        place = layout.parse_path(overlay)
        suites.setdefault(place.slug if place else _NOBODY, {})[overlay] = []
    for item in findings:
        place = layout.parse_path(item.file)
        slug = place.slug if place else item.model
        test = layout.overlay(slug, item.environment) if slug and item.environment else item.file or DEFAULT_FILE
        suites.setdefault(slug or _NOBODY, {}).setdefault(test, []).append(item)
    return suites


def _add_suite(root: Element, owner: str, tests: _Tests, verdict: str) -> None:
    suite = SubElement(
        root, "testsuite", _counts(list(tests.values())), name=make_visible(owner), skipped="0", time="0"
    )
    if verdict:
        SubElement(SubElement(suite, "properties"), "property", name="verdict", value=make_visible(verdict, _LONG))
    for name in sorted(tests):
        case = SubElement(suite, "testcase", classname=make_visible(owner), name=make_visible(name, _LONG), time="0")
        for item in tests[name]:
            if item.severity is Severity.ERROR:
                failure = SubElement(
                    case, "failure", type=make_visible(item.rule), message=make_visible(format_message(item), _LONG)
                )
                failure.text = _paragraph(item)
        warnings = [_paragraph(item) for item in tests[name] if item.severity is Severity.WARNING]
        if warnings:
            SubElement(case, "system-out").text = "\n\n".join(warnings)


def _counts(tests: Sequence[Sequence[Finding]]) -> dict[str, str]:
    failed = sum(any(item.severity is Severity.ERROR for item in items) for items in tests)
    return {"tests": str(len(tests)), "failures": str(failed), "errors": "0"}


def _paragraph(item: Finding) -> str:
    line = f":{item.line}" if item.line else ""
    lines = [
        f"{item.severity} {make_visible(item.file or DEFAULT_FILE, _LONG)}{line}",
        make_visible(format_message(item), _LONG),
        *([f"→ {make_visible(item.hint, _LONG)}"] if item.hint else []),
        f"[{make_visible(item.rule)}]",
    ]
    return join_lines(lines).rstrip()
