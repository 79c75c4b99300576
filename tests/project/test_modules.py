"""The shape of the package: modules that say their job, imports that point one way."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import ROOT

_PINS = re.compile(
    r"([a-z0-9-]+(\[[a-z0-9,-]+\])?==\S+( ; .+)? \\\n(    --hash=sha256:[0-9a-f]{64}( \\)?\n)+(    #.*\n)*)+"
)
MODULES = sorted(ROOT.glob("generator/m2g/**/*.py"))


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT / "generator")))
def test_a_module_says_its_job(module: Path) -> None:
    text = module.read_text()
    opening = (ast.get_docstring(ast.parse(text)) or "").split("\n\n")[0]
    assert "\n" not in opening, "a module opens with one line"
    assert len(opening) > 20


def test_imports_follow_the_design() -> None:
    done = subprocess.run(
        ["lint-imports", "--no-logo", "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_every_lock_pins_by_hash_and_names_no_address() -> None:
    locks = sorted(ROOT.glob("requirements/*.txt"))
    scaffolded = sorted(ROOT.glob("template/ci/*requirements*"))
    sources = sorted(source.stem for source in ROOT.glob("requirements/*.in"))
    assert sorted([lock.stem for lock in locks] + ["ci", "ci-models"]) == sources
    assert len(scaffolded) == 2, "of ci and ci-models"
    for lock in [*locks, *scaffolded]:
        text = lock.read_text()
        assert "://" not in text
        assert _PINS.fullmatch(text), lock.name


def test_make_has_few_targets() -> None:
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    assert all(line.startswith("  make ") for line in listed)
    assert len(listed) <= 12


def test_only_the_layout_knows_the_paths_of_a_repository() -> None:
    spelled = re.compile(r"^(models|fleet)/|/(overlays|releases|requests|custom)/")
    found = [
        f"{module.relative_to(ROOT)}:{node.lineno}"
        for module in MODULES
        if module != ROOT / "generator/m2g/repository/layout.py"
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.JoinedStr) and spelled.search("".join(map(_literal, node.values)))
    ]
    assert found == [], "build a path by repository/layout"


def _literal(part: ast.expr) -> str:
    return str(part.value) if isinstance(part, ast.Constant) else "{}"
