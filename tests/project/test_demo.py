"""`make demo`: the whole story, as a new user sees it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.slow


def test_the_story_ends_with_a_prediction_and_has_no_warning(tmp_path: Path) -> None:
    folder = tmp_path / "a demo"
    command = [sys.executable, str(ROOT / "demo/demo.py"), str(folder)]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in (done.stdout + done.stderr).lower()
    assert "2  KServe's own runtimes load these" in done.stdout
    assert done.stdout.count("served by mlserver: kserve-mlserver loads it") == 3
    assert "~ wine-quality in prod: version 1 → 2" in done.stdout
    assert "REST  equals pyfunc" in done.stdout
    assert "gRPC  equals pyfunc" in done.stdout
    assert done.stdout.rindex("1 of 1 equal to pyfunc") < done.stdout.index("── Next steps ──")
    again = subprocess.run(command, cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=False)
    assert again.returncode == 2
    assert "is not empty" in again.stdout
