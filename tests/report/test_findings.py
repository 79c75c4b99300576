"""Findings as text, JSON and GitHub annotations; hostile words in each."""

from __future__ import annotations

import json
import re

import msgspec
import pytest

from m2g.core.finding import Checked, Finding, Severity
from m2g.report import findings
from m2g.report import findings as report

PLAIN = Finding(
    file="models/wine/model.yaml",
    line=3,
    rule="replicas-range",
    message="is 1, less than minReplicas 2; " * 5,
    hint="set minReplicas and maxReplicas in model.yaml " * 3,
    path="spec.predictor.maxReplicas",
    model="wine",
    environment="prod",
)
WARNING = Finding(file="m2g.yaml", rule="x", severity=Severity.WARNING, message="odd")
CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069\ufeff]")
HOSTILE = [
    "\x1b[2J\x9b31m",
    "a\r\nb",
    "::stop-commands::x",
    "\n::set-output name=a::b",
    "%0A::error::x",
    "a,line=9::b",
    "##[add-mask]x",
    "\u202etxt",
    "x" * 50_000,
]


def test_text_groups_by_model_fits_80_columns_and_ends_with_the_verdict() -> None:
    lines = findings.render_text([PLAIN, WARNING], Checked(models=1, overlays=2)).splitlines()
    assert lines[0] == "repository"
    assert lines[lines.index("wine") + 1] == "  error models/wine/model.yaml:3"
    assert max(map(len, lines)) <= 80
    assert lines[-1] == "1 error and 1 warning (checked: 1 model, 2 overlays)"
    assert any("→ set minReplicas" in line for line in lines)
    assert any("[prod, replicas-range]" in line for line in lines)


def test_models_with_the_same_findings_are_named_together() -> None:
    waits = Finding(rule="image-missing", severity=Severity.WARNING, message="it waits", model="a", environment="prod")
    other = msgspec.structs.replace(waits, model="b", message="it waits for another one")
    found = [waits, other, *(msgspec.structs.replace(waits, model=f"model-{number:02}") for number in range(12))]
    text = findings.render_text(found)
    assert text.count("it waits\n") == 1
    assert text.startswith("a, model-00, model-01,")
    assert max(map(len, text.splitlines())) <= 80
    assert "\nb\n  warning\n    it waits for another one\n" in text
    assert text.endswith("14 warnings\n")


def test_nothing_wrong() -> None:
    assert (
        findings.render_text([], Checked(models=3, overlays=6, objects=6)) == "valid: 3 models, 6 overlays, 6 objects\n"
    )
    assert findings.render_text([]) == "valid: nothing to check\n"


def test_json_has_all_fields_and_a_summary() -> None:
    data = json.loads(report.render([PLAIN, WARNING], "json", Checked(models=1)))
    assert data["version"] == 1
    assert data["summary"] == {
        "errors": 1,
        "warnings": 1,
        "models": 1,
        "overlays": 0,
        "objects": 0,
        "files": 0,
        "bounds": "",
        "undecided": [],
    }
    assert set(data["findings"][1]) == set(Finding.__struct_fields__)
    assert (data["findings"][0]["line"], data["findings"][1]["severity"]) == (3, "warning")


def test_github_annotations() -> None:
    lines = findings.render_github([PLAIN, WARNING]).splitlines()
    assert lines[0].startswith("::error file=models/wine/model.yaml,line=3,title=replicas-range::spec.predictor.max")
    assert lines[1] == "::warning file=m2g.yaml,title=x::odd"
    assert lines[2] == "1 error and 1 warning"


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_hostile_words_stay_words(text: str) -> None:
    finding = Finding(file=text, rule="r", message=text, hint=text, path=text, model=text, environment=text)
    for form in report.FORMATS:
        written = report.render([finding], form)
        assert not CONTROLS.search(written)
        commands = re.findall(r"^\s*::", written, re.MULTILINE)
        assert len(commands) == (1 if form == "github" else 0)
    (annotation, _) = findings.render_github([finding]).splitlines()
    about = annotation.removeprefix("::error ").partition("::")[0]
    assert [part.partition("=")[0] for part in about.split(",")] == ["file", "title"]
    assert "##[" not in findings.render_text([finding])
