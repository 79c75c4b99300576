"""Where no temporary folder can be written: the command says so and how to mend it, and nothing is half done."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from m2g.changes.update import RenderOptions
from m2g.core.errors import Exit
from tests.support.fleet import FakeRegistry, release, repository, run, tree, write_record
from tests.support.git_repository import commit, start
from tests.support.machine import seconds

pytestmark = pytest.mark.slow

FLEET = 60
"""Models: what render holds of them does not fit into memory's share."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = start(repository(tmp_path_factory.mktemp("room") / "repository"))
    (root / ".gitignore").write_text(".m2g/\n")
    for index in range(FLEET):
        write_record(root, f"wine-{index}", release(f"wine-{index}", "prod"))
    run(root, FakeRegistry(), RenderOptions(locked=True))
    commit(root)
    for index in range(FLEET):
        write_record(root, f"wine-{index}", release(f"wine-{index}", "prod", "2"))
    return root


@pytest.mark.parametrize(("limit", "words"), [(0, "no temporary folder is writable"), (100, "File too large")])
@pytest.mark.parametrize(
    "arguments",
    [("render", "--locked", "--dry-run"), ("render", "--locked", "--check"), ("validate",), ("diff",), ("init", "new")],
)
def test_the_way_out_is_said(root: Path, arguments: tuple[str, ...], limit: int, words: str) -> None:
    before = tree(root)
    done = subprocess.run(
        [sys.executable, "-m", "m2g", *arguments],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds(120),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert done.returncode == Exit.OUTSIDE, done.stderr
    assert words in done.stderr
    assert "TMPDIR" in done.stderr
    assert tree(root) == before
