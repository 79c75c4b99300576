"""The page about tutorials names a test for each step, and each of them exists."""

from __future__ import annotations

import ast
import re

import pytest

from tests.support.docs_pages import DOCS
from tests.support.paths import ROOT

PAGE = (DOCS / "explanation/from-tutorials.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))


@pytest.mark.parametrize(("file", "name"), NAMED, ids=["::".join(named) for named in NAMED])
def test_a_named_test_exists(file: str, name: str) -> None:
    module = ast.parse((ROOT / file).read_text())
    assert name in {node.name for node in ast.walk(module) if isinstance(node, ast.FunctionDef)}


def test_each_step_names_a_test() -> None:
    steps = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| tutorial")]
    assert len(steps) > 15
    assert [step for step in steps if not re.search(r"`tests/[\w/]+\.py::test_\w+` \|$", step)] == []
