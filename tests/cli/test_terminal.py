"""What a terminal shows and a script gets: width, color, JSON of errors, completion."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from m2g.cli import run
from m2g.core.errors import Exit, InputError
from tests.support.fleet import CONFIG, release, repository, write_record
from tests.support.machine import seconds

M2G = (sys.executable, "-m", "m2g")


def on_terminal(root: Path, columns: int, *arguments: str, code: int = 1, **settings: str) -> str:
    """What m2g prints on a terminal with this many columns, on both streams."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    own = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "TERM")}
    with subprocess.Popen(
        [*M2G, *(arguments or ("validate",))],
        cwd=root,
        stdout=theirs,
        stderr=theirs,
        env={**own, "TERM": "xterm", **settings},
    ) as running:
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 4096):
                shown += part
        except OSError:  # Linux says so at the end
            pass
        finally:
            os.close(ours)
        assert running.wait(seconds(60)) == code
    return shown.decode().replace("\r\n", "\n")


def test_findings_use_the_width_of_the_terminal_and_colors(tmp_path: Path) -> None:
    (tmp_path / "m2g.yaml").write_text(CONFIG + "unknown: field\n")
    longest = {}
    for columns in (70, 110, 400):
        shown = on_terminal(tmp_path, columns)
        assert "\x1b[31m\x1b[1m  error\x1b[0m" in shown
        plain = re.sub(r"\x1b\[\d+m", "", shown)
        longest[columns] = max(map(len, plain.splitlines()))
        assert on_terminal(tmp_path, columns, NO_COLOR="1") == plain
    assert longest[70] <= 70 < longest[110] <= 110
    assert longest[400] <= 120


def test_the_line_of_progress_is_cleared_before_the_result(tmp_path: Path) -> None:
    root = repository(tmp_path)
    write_record(root, "wine", release())
    shown = on_terminal(root, 100, "image", "--missing", "--locked", code=0)
    _, clear, result = shown.rpartition("\r\x1b[K")
    assert clear
    assert result.strip()
    assert "\x1b" not in result


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["render", "--format", "json"], 2, "m2g.yaml"),
        (["diff", "--format=json", "--against", "nothing"], 2, "m2g.yaml"),
        (["render", "--format", "json", "--nothing"], 2, "--nothing"),
        (["explain", "nothing-like-it", "--format", "json"], 2, "nothing-like-it"),
    ],
)
def test_an_error_is_json_where_json_was_asked_for(tmp_path: Path, arguments: list[str], code: int, words: str) -> None:
    done = subprocess.run([*M2G, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == code
    found = json.loads(done.stdout)
    assert (found["version"], found["exitCode"]) == (1, code)
    assert words in found["message"]
    assert found["hint"] in done.stderr.replace("\n", " ") or not found["hint"]


def test_the_tabs_of_another_programs_advice_are_spaces(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise InputError("fatal: dubious ownership\n\tgit config --global", hint="run:\tgit status")

    assert run(fail) is Exit.INPUT
    assert capsys.readouterr().err == "m2g: fatal: dubious ownership\n    git config --global\n  → run:    git status\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_what_the_page_says(shell: str) -> None:
    page = (Path(__file__).parents[2] / "docs/reference/cli.md").read_text()
    assert f"_M2G_COMPLETE={shell}_source m2g" in page
    m2g = shutil.which("m2g") or str(Path(sys.executable).with_name("m2g"))
    done = subprocess.run(
        [m2g], env={**os.environ, "_M2G_COMPLETE": f"{shell}_source"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "_m2g_completion" in done.stdout
