"""`make demo`: the whole story, as a new user sees it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.offline_index import make_index
from tests.support.paths import ROOT
from tests.support.smoke_runs import SERVERS

pytestmark = pytest.mark.slow


def test_the_story_ends_with_a_prediction_and_has_no_warning(tmp_path: Path) -> None:
    folder = tmp_path / "a demo"
    command = [sys.executable, str(ROOT / "demo/demo.py"), str(folder), "--pass-path", str(SERVERS)]
    environment = {**os.environ, **make_index(tmp_path / "index"), "M2G_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    first, fleet = done.stdout.split("── 7. ")
    assert "warning" not in (first + done.stderr).lower()
    assert "2  a runtime loads these as they are" in done.stdout
    assert first.count("served by mlserver: kserve-mlserver loads it") == 3
    assert "~ wine-quality in prod: version 1 → 2" in done.stdout
    assert "REST  equals pyfunc" in done.stdout
    assert "gRPC  equals pyfunc" in first
    assert first.rstrip().endswith("1 of 1 equal to pyfunc")
    check_fleet(fleet)
    check_page(folder / "demo.html")
    again = subprocess.run(command, cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=False)
    assert again.returncode == 2
    assert "is not empty" in again.stdout


def check_fleet(text: str) -> None:
    assert "14 registered models" in text
    assert text.count("\nnew py311-") == 2
    assert "credit-score version 1 (prod): mlserver-image" in text
    assert "in the packages of the serving environment py311-mlserver-" in text
    assert "1 of 1 equal to pyfunc" in text
    assert "serving-forbidden" not in text
    assert "energy-demand in prod: version 1, new" in text


def check_page(file: Path) -> None:
    """It needs nothing else, and has every step."""
    page = file.read_text()
    assert not re.search(r"<script|<link|<img|(?:src|href)=", page.replace("srcdoc=", ""))
    for words in ("m2g environments plan --write", "m2g smoke credit-score", "1 of 1 equal to pyfunc", "What KServe"):
        assert words in page
