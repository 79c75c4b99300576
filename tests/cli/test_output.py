"""`--output FORMAT FILE`: reports in files, the log on stdout, the exit code as ever."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from m2g.cli import group, run
from m2g.core.errors import Exit
from tests.support.fleet import release, repository, write_record


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


CLOSED = {
    "no stderr": "2>&-",
    "no stdout": ">&-",
    "nothing": "<&- >&- 2>&-",
    "no stdin and no stderr": "<&- 2>&-",
    "a full disk for stderr": "2>/dev/full",
    "a reader of stderr that went away": "2> >(true)",
}


@pytest.mark.attack
@pytest.mark.slow
@pytest.mark.usefixtures("kustomize")
@pytest.mark.parametrize("closed", CLOSED.values(), ids=CLOSED)
def test_a_stream_that_is_gone_loses_its_text_and_never_the_work(tmp_path: Path, closed: str) -> None:
    """With stderr closed, the next file that is opened gets its number, and everything that is said ends up there."""
    root = repository(tmp_path / "repository")
    write_record(root, "wine", release())
    environment = {**os.environ, "M2G_CACHE_DIR": str(tmp_path / "cache")}

    def m2g_exits(arguments: str) -> int:
        words = ["bash", "-c", f"{sys.executable} -m m2g -C {root} {arguments} {closed}"]
        return subprocess.run(words, env=environment, capture_output=True, check=False).returncode

    assert m2g_exits("render --locked --check") == Exit.NO
    assert m2g_exits("render --locked") == Exit.DONE
    assert (root / "models/wine/overlays/prod/kustomization.yaml").exists()
    assert m2g_exits("render --locked --check") == Exit.DONE
    assert m2g_exits("validate") == Exit.DONE
    assert m2g_exits("validate --no-such-option") == Exit.INPUT
    assert m2g_exits("explain no-such-rule") == Exit.INPUT
    (root / "models/wine/base/kustomization.yaml").write_text("mine\n")
    assert m2g_exits("validate") == Exit.NO
    assert m2g_exits("render --locked") == Exit.INPUT
    with sqlite3.connect(tmp_path / "cache/found.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize(("words", "code"), [("--help >/dev/full", Exit.OUTSIDE), ("--help | true", Exit.DONE)])
def test_help_that_nobody_gets_is_no_bug(words: str, code: Exit) -> None:
    script = f"{sys.executable} -m m2g {words}; exit ${{PIPESTATUS[0]}}"
    assert subprocess.run(["bash", "-c", script], capture_output=True, check=False).returncode == code
