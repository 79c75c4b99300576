"""Each situation of reports-tried.md that names a test or an example has it."""

from __future__ import annotations

import ast
import re

import pytest

from tests.support.docs_pages import DOCS
from tests.support.paths import ROOT

PAGE = (DOCS / "reference/reports-tried.md").read_text()
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))
EXAMPLES = sorted(set(re.findall(r"`((?:wrong|right)/[\w.*-]+)`", PAGE)))


@pytest.mark.parametrize(("file", "name"), TESTS, ids=["::".join(named) for named in TESTS])
def test_a_named_test_exists(file: str, name: str) -> None:
    nodes = ast.walk(ast.parse((ROOT / file).read_text()))
    assert name in {node.name for node in nodes if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("pattern", EXAMPLES)
def test_a_named_example_exists(pattern: str) -> None:
    assert list((ROOT / "tests/corpus").glob(f"{pattern}.yaml"))


def test_every_row_of_the_two_tables_names_one() -> None:
    rows = PAGE.partition("## What KServe's own code decides")[2].splitlines()
    rows = [row for row in rows if row.startswith("| ") and not row.startswith("| situation")]
    assert len(rows) > 30
    assert [row for row in rows if not re.search(r"`(tests/|wrong/|right/)", row)] == []
