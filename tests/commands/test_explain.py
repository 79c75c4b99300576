"""`m2g explain` on the command line, and the page of the documentation."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from m2g.commands import explain
from m2g.core.errors import InputError
from m2g.report import rules
from m2g.validation.rules import RULES, SCHEMA_RULES
from tests.support.paths import ROOT

RULE_IDS = [page.id for page in explain.list_rules()]


def m2g(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "m2g", "explain", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_table_has_a_line_for_every_rule() -> None:
    done = m2g()
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines[:-2]] == RULE_IDS
    assert lines[-1].startswith(f"{len(RULES) + len(SCHEMA_RULES)} rules")
    assert max(map(len, lines)) <= 120
    assert not [line for line in lines if line.endswith("…")]
    assert (done.returncode, done.stderr) == (0, "")


def test_a_page_says_what_why_and_how() -> None:
    page = m2g("scale-metric").stdout
    assert page.startswith("scale-metric (error, V4, V5, V7, L04)\n")
    for words in (
        "Wrong:",
        "scaleMetric: rps",
        "Right:",
        "scaleMetric: cpu",
        "→ set settings.autoscaler",
        "Source: https://",
    ):
        assert words in page


@pytest.mark.parametrize("name", sorted(explain.read_finding_texts()))
def test_any_other_finding_has_a_page_without_markup(name: str) -> None:
    (page,) = json.loads(rules.render([explain.explain(name)], "json", whole=True))["rules"]
    assert page["summary"]
    assert page["fix"]
    assert "](" not in page["summary"] + page["fix"]


def test_a_finding_of_no_rule_is_explained() -> None:
    done = m2g("hand-edit")
    assert done.stdout.splitlines()[0] == "hand-edit (error)"
    assert "→ Move the change to" in done.stdout
    assert "Wrong:" not in done.stdout
    assert (done.returncode, done.stderr) == (0, "")


def test_what_the_schema_finds_says_so() -> None:
    assert "Its findings have the rule `schema`." in m2g("schema-name").stdout


def test_a_misspelt_rule_is_exit_2_with_the_near_one() -> None:
    done = m2g("scale-metrics")
    assert done.returncode == 2
    assert "did you mean this? m2g explain scale-metric" in done.stderr
    with pytest.raises(InputError) as caught:
        explain.explain("\x1b[31m" * 99)
    assert "list all rules: m2g explain" in caught.value.hint


def test_the_finding_of_a_schema_has_a_page() -> None:
    done = m2g("schema")
    assert done.returncode == 0
    assert "unknown field" in done.stdout


def test_json_is_for_scripts() -> None:
    whole = json.loads(m2g("--format", "json").stdout)
    assert whole["version"] == 1
    assert [rule["id"] for rule in whole["rules"]] == RULE_IDS
    (one,) = json.loads(m2g("storage-uri", "--format", "json").stdout)["rules"]
    assert one["severity"] == "error"
    assert {"id", "finding", "summary", "why", "fix", "link", "covers", "kinds", "bad", "good"} <= set(one)


@pytest.mark.parametrize("rule", RULE_IDS)
def test_every_page_can_be_read_at_80_columns(rule: str) -> None:
    text = rules.render([explain.explain(rule)], "text", whole=True)
    prose, _, shown = text.partition("\nWrong:")
    assert all(len(line) <= 80 for line in prose.splitlines() if "→" in line or not line.startswith("  "))
    assert max(map(len, shown.splitlines())) <= 130
    assert f"\n{explain.explain(rule).link}" not in prose


def test_the_documentation_is_what_the_rules_say() -> None:
    page = rules.render_markdown(explain.list_rules())
    for rule in RULE_IDS:
        assert f"\n## {rule}\n" in page


def test_the_page_of_the_documentation_is_fresh() -> None:
    page = ROOT / "docs/reference/rules.md"
    assert page.read_text() == rules.render_markdown(explain.list_rules()), "run `python docs/generate.py`"
