"""`--output FORMAT FILE`: reports in files, the log on stdout, the exit code as ever."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from m2g.cli import group, run
from m2g.core.errors import Exit
from tests.support.fleet import repository


def m2g(folder: Path, *arguments: str) -> Exit:
    return run(lambda: group.main(["-C", str(folder), *arguments], standalone_mode=False))


def broken(folder: Path) -> Path:
    root = repository(folder)
    (root / "m2g.yaml").write_text("version: 2\n")
    return root


@pytest.mark.usefixtures("kustomize")
def test_one_run_writes_several_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = broken(tmp_path)
    code = m2g(root, "validate", "--output", "gitlab", "quality.json", "--output", "junit", "junit.xml")
    assert code == Exit.NO
    out = capsys.readouterr().out
    assert out.startswith("repository\n  error m2g.yaml:1\n")
    assert out.splitlines()[-1].startswith("2 errors")
    assert len(json.loads((root / "quality.json").read_text())) == 2
    assert (root / "junit.xml").read_text().startswith("<?xml")


@pytest.mark.usefixtures("kustomize")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--output", "gitlab", "no/such/folder.json"], "no/such/folder.json cannot be written"),
        (["--output", "yaml", "x"], "yaml"),
        (["--output", "gitlab"], "requires 2 arguments"),
    ],
)
def test_what_cannot_be_written_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    code = m2g(broken(tmp_path), "validate", *arguments)
    assert code in (Exit.INPUT, Exit.OUTSIDE)
    assert words in capsys.readouterr().err


def test_a_terminal_of_another_encoding_is_no_bug() -> None:
    words = [sys.executable, "-m", "m2g", "explain", "scale-metric"]
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert "\\u2192 set" in done.stdout


def test_an_answer_that_cannot_be_written_is_said() -> None:
    words = [sys.executable, "-m", "m2g", "explain", "scale-metric"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == Exit.OUTSIDE
    assert done.stderr.startswith("m2g: the result cannot be printed: No space left")


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "2>/dev/full"])
def test_who_wants_no_answer_gets_the_exit_code(closed: str) -> None:
    words = f"{sys.executable} -m m2g explain scale-metric {closed}"
    assert subprocess.run(words, shell=True, capture_output=True, check=False).returncode == Exit.DONE
    words = f"{sys.executable} -m m2g explain no-such-rule {closed}"
    assert subprocess.run(words, shell=True, capture_output=True, check=False).returncode == Exit.INPUT
