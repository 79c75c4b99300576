"""Whatever a finding says, in every format: nothing for a terminal, a runner, a parser or a reader's eye to obey."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from xml.etree import ElementTree

from hypothesis import example, given, settings

from m2g.core.finding import Finding
from m2g.report import findings as report
from tests.support.findings import FINDINGS, HOSTILE

_OBEYED = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)
_EVERYWHERE = [
    Finding(file=text, rule=text, message=text, hint=text, path=text, model=text, environment=text) for text in HOSTILE
]


@settings(max_examples=60)
@given(FINDINGS)
@example(_EVERYWHERE)
def test_nothing_is_obeyed(findings: Sequence[Finding]) -> None:
    for form in report.FORMATS:
        written = report.render(findings, form)
        assert not _OBEYED.search(written), form
        assert written.endswith("\n")
        commands = re.findall(r"^\s*::", written, re.MULTILINE)
        assert len(commands) == (len(findings) if form == "github" else 0), form
        assert ("##[" not in written) or form == "github"
        assert written.isascii() or form in ("text", "github")
        written.encode()


@settings(max_examples=60)
@given(FINDINGS)
@example(_EVERYWHERE)
def test_every_finding_is_in_every_format_once(findings: Sequence[Finding]) -> None:
    assert len(json.loads(report.render(findings, "json"))["findings"]) == len(findings)
    issues = json.loads(report.render(findings, "gitlab"))
    assert len({issue["fingerprint"] for issue in issues}) == len(findings)
    (run,) = json.loads(report.render(findings, "sarif"))["runs"]
    assert len(run["results"]) == len(findings)
    assert not any("](" in result["message"]["text"] for result in run["results"])
    root = ElementTree.fromstring(report.render(findings, "junit"))
    errors = [finding for finding in findings if finding.severity == "error"]
    assert len(root.findall(".//failure")) == len(errors)
    assert len(report.render(findings, "github").splitlines()) == len(findings) + 1
