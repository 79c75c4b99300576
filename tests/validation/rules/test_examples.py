"""Every rule has an example that only this rule finds wrong, and one that is right; every source has its rule."""

from __future__ import annotations

import re

import pytest

from m2g.commands import explain
from m2g.validation.rules import RULES, SCHEMA_RULES, SchemaRule
from tests.support.rule_objects import answers, example

REFERENCE = {f"V{number}" for number in range(1, 23)} | {f"L{number:02}" for number in range(1, 26)} | {"V1b", "L24b"}
"""The rules of KServe's webhook and what it lets through; three of L are no rule of ours but ways of writing."""


@pytest.mark.parametrize("rule", [rule.id for rule in RULES])
def test_only_this_rule_finds_its_example(rule: str) -> None:
    found = answers(*example(rule, "bad"))
    assert {name for name, _ in found} == {rule}, found


@pytest.mark.parametrize("rule", [rule.id for rule in RULES] + [item.id for item in SCHEMA_RULES])
def test_the_right_way_is_right(rule: str) -> None:
    assert answers(*example(rule, "good")) == set()


@pytest.mark.parametrize("item", SCHEMA_RULES, ids=lambda item: item.id)
def test_the_schema_finds_what_needs_no_rule(item: SchemaRule) -> None:
    assert answers(*example(item.id, "bad")) == {("schema", item.path)}


def test_every_entry_of_the_reference_has_its_rule() -> None:
    covered = {source for rule in explain.list_rules() for source in rule.covers}
    assert covered ^ REFERENCE == set()


def test_rules_have_their_words() -> None:
    every = explain.list_rules()
    assert len({rule.id for rule in every}) == len(every)
    for rule in every:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", rule.id)
        assert rule.summary.endswith(".")
        assert rule.why.endswith((".", "?"))
        assert rule.fix
        assert rule.link.startswith("https://")
        assert not rule.fix.endswith(".")


def test_no_example_is_left_over() -> None:
    files = {path.stem for path in explain._FOLDER.glob("*.yaml")}
    assert files == {page.id for page in explain.list_rules()}
