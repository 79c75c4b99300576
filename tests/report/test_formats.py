"""What GitLab, code scanning and JUnit's readers ask of a report, beside the findings themselves."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree.ElementTree import Element, fromstring

import jsonschema_rs
import msgspec
from hypothesis import example, given, settings

from m2g.core.finding import Checked, Finding
from m2g.report import findings as report
from m2g.report import junit
from m2g.validation.rules import RULES
from tests.support.findings import FINDINGS, NOWHERE, PLAIN, WARNING

_SARIF = json.loads((Path(__file__).parent / "sarif.schema.json").read_text())
_ALL = [PLAIN, WARNING, NOWHERE]
# Jenkins' junit-10.xsd, which GitLab, GitHub's readers and Azure follow: element → required, optional, children.
_JUNIT = {
    "testsuites": ({"name", "tests", "failures", "errors"}, {"time"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors"},
        {"skipped", "time", "timestamp", "hostname", "id", "package", "file"},
        {"properties", "testcase", "system-out", "system-err"},
    ),
    "properties": (set(), set(), {"property"}),
    "property": ({"name", "value"}, set(), set()),
    "testcase": ({"name"}, {"time", "classname"}, {"skipped", "error", "failure", "system-out", "system-err"}),
    "failure": (set(), {"type", "message"}, set()),
    "system-out": (set(), set(), set()),
}


def test_gitlab_code_quality() -> None:
    plain, warning, nowhere = json.loads(report.render(_ALL, "gitlab"))
    assert plain["location"] == {"path": "models/wine/model.yaml", "lines": {"begin": 3}}
    assert (plain["check_name"], plain["severity"], warning["severity"]) == ("scale-metric", "major", "minor")
    assert plain["description"].startswith("spec.predictor.maxReplicas: is 1, less than minReplicas 2 → set min")
    assert nowhere["location"] == {"path": "m2g.yaml", "lines": {"begin": 1}}
    for issue in (plain, warning, nowhere):
        assert set(issue) == {"description", "check_name", "fingerprint", "severity", "location"}
    assert report.render([], "gitlab") == "[]\n"


def test_a_fingerprint_stays_when_lines_move_and_is_never_shared() -> None:
    moved = msgspec.structs.replace(PLAIN, line=99, hint="another")
    ((before,), (after,)) = (json.loads(report.render([item], "gitlab")) for item in (PLAIN, moved))
    assert before["fingerprint"] == after["fingerprint"]
    both = json.loads(report.render([PLAIN, moved, NOWHERE], "gitlab"))
    assert len({issue["fingerprint"] for issue in both}) == 3
    assert both[0]["fingerprint"] == before["fingerprint"]
    (run,) = json.loads(report.render([PLAIN], "sarif"))["runs"]
    assert list(run["results"][0]["partialFingerprints"].values()) == [before["fingerprint"]]


@settings(max_examples=60)
@given(FINDINGS)
@example(_ALL)
@example([])
def test_sarif_is_sarif(findings: list[Finding]) -> None:
    log = json.loads(report.render(findings, "sarif", Checked(models=1)))
    jsonschema_rs.validate(_SARIF, log, validate_formats=True)
    (run,) = log["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        split = urlsplit(uri)
        assert (split.scheme, split.netloc) == ("", "")
        assert not uri.startswith("/")


def test_sarif_describes_rules_and_places() -> None:
    (run,) = json.loads(report.render(_ALL, "sarif"))["runs"]
    rules = {rule["id"]: rule for rule in run["tool"]["driver"]["rules"]}
    known = next(rule for rule in RULES if rule.id == "scale-metric")
    described = rules["scale-metric"]
    assert described["shortDescription"]["text"] == known.summary
    assert known.fix in described["help"]["text"]
    assert known.why in described["help"]["markdown"]
    assert described["helpUri"] == known.link
    assert rules["policy/no-latest"]["helpUri"].endswith("findings.md")
    (location,) = run["results"][0]["locations"]
    assert location["physicalLocation"]["region"] == {"startLine": 3}
    names = {one["kind"]: one["fullyQualifiedName"] for one in location["logicalLocations"]}
    assert names == {
        "model": "wine",
        "environment": "wine/prod",
        "property": "wine/prod/spec.predictor.maxReplicas",
    }


def test_sarif_of_all_rules() -> None:
    """Every word that a rule has fits: reports of hundreds of rules are one file."""
    findings = [Finding(rule=rule.id, severity=rule.severity, message="x") for rule in RULES]
    log = json.loads(report.render(findings, "sarif"))
    jsonschema_rs.validate(_SARIF, log, validate_formats=True)
    assert len(log["runs"][0]["tool"]["driver"]["rules"]) == len(RULES)


def test_a_file_with_odd_characters_is_found() -> None:
    for name in ("models/a b/ü:#?%.yaml", "a:b.yaml", "//host/x"):
        finding = Finding(rule="x", file=name, message="x")
        (run,) = json.loads(report.render([finding], "sarif"))["runs"]
        uri = run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        assert unquote(uri) == name.lstrip("/")


@settings(max_examples=60)
@given(FINDINGS)
@example(_ALL)
@example([])
def test_junit_is_junit(findings: list[Finding]) -> None:
    root = fromstring(report.render(findings, "junit"))
    _conforms(root)
    suites = root.findall("testsuite")
    for suite in suites:
        cases = suite.findall("testcase")
        assert suite.get("tests") == str(len(cases))
        assert suite.get("failures") == str(sum(case.find("failure") is not None for case in cases))
    for name in ("tests", "failures"):
        assert root.get(name) == str(sum(int(suite.get(name, "")) for suite in suites))


def test_junit_has_a_suite_a_model_and_a_test_an_overlay() -> None:
    built = ["models/wine/overlays/dev", "models/wine/overlays/prod", "models/ale/overlays/prod"]
    root = fromstring(junit.render(_ALL, built, "2 errors"))
    _conforms(root)
    tests = {
        (suite.get("name"), case.get("name"), case.find("failure") is not None)
        for suite in root
        for case in suite.findall("testcase")
    }
    assert tests == {
        ("repository", "m2g.yaml", True),
        ("ale", "models/ale/overlays/prod", False),
        ("wine", "models/wine/overlays/dev", False),
        ("wine", "models/wine/overlays/prod", True),
    }
    (failure,) = root.findall("testsuite[@name='wine']//failure")
    assert failure.get("message") == f"{PLAIN.path}: {PLAIN.message}"
    assert (failure.text or "").splitlines() == [
        "error models/wine/model.yaml:3",
        "spec.predictor.maxReplicas: is 1, less than minReplicas 2",
        "→ set minReplicas and maxReplicas in model.yaml",
        "[scale-metric]",
    ]
    assert "odd" in (root.findtext("testsuite[@name='repository']/testcase/system-out") or "")


def _conforms(element: Element) -> None:
    required, optional, children = _JUNIT[element.tag]
    assert required <= set(element.attrib) <= required | optional, element.tag
    assert {child.tag for child in element} <= children, element.tag
    for child in element:
        _conforms(child)


def test_junit_names_a_models_tests_by_its_slug() -> None:
    overlay = "models/wine-quality/overlays/prod"
    finding = Finding(
        rule="schema", file=f"{overlay}/patch.yaml", message="x", model="wine quality", environment="prod"
    )
    root = fromstring(junit.render([finding], [overlay], "1 error"))
    cases = [(suite.get("name"), case.get("name"), len(case)) for suite in root for case in suite.findall("testcase")]
    assert cases == [("repository", "m2g.yaml", 0), ("wine-quality", overlay, 1)]
