"""The threat model names a test for each control, and each of them exists."""

from __future__ import annotations

import ast
import re

import pytest

from tests.support.docs_pages import DOCS
from tests.support.paths import ROOT

PAGE = (DOCS / "explanation/safety.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(("| |", "| **", "| asset"))]


HOSTILE = set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE.partition("## Accidents")[0]))


@pytest.mark.parametrize(("file", "name"), NAMED, ids=["::".join(named) for named in NAMED])
def test_a_named_test_exists_and_make_attack_runs_it(file: str, name: str) -> None:
    module = ast.parse((ROOT / file).read_text())
    found = [node for node in ast.walk(module) if isinstance(node, ast.FunctionDef) and node.name == name]
    assert found
    marks = [
        node for node in module.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark"
    ]
    if (file, name) in HOSTILE:
        assert "pytest.mark.attack" in "".join(map(ast.unparse, (*found[0].decorator_list, *marks)))


def test_each_control_has_a_test() -> None:
    controls = [row for row in ROWS if not row.endswith(" | test |")]
    assert len(controls) > 30
    assert [row for row in controls if not re.search(r"`tests/[\w/]+\.py::test_\w+` \|$", row)] == []


def test_each_module_of_attacks_is_in_a_row() -> None:
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests/attack").glob("test_*.py")}
    assert modules - {file for file, _ in NAMED} == set()
