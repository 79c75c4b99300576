"""The project as a stranger gets it: a clean clone of what would be committed now."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import ROOT


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git repository with one commit, tagged v0.0.1: the working tree without what git ignores."""
    to = tmp_path_factory.mktemp("clone") / "m2g"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, check=True, text=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        source, target = ROOT / name, to / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "All"], ["tag", "v0.0.1"]):
        subprocess.run(["git", *arguments], cwd=to, check=True)
    return to
