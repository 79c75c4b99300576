"""Tables fit the terminal; a pipe gets every name whole, and no colors."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import termios
from pathlib import Path

import pytest

from m2g.report.layout import count_columns, format_table

ROWS = [("name", "why"), ("a-model-with-a-long-name", "because it is so"), ("模型模型模型模型模型模型", "x" * 40)]


@pytest.mark.parametrize("width", [40, 60])
def test_the_widest_cells_end_with_an_ellipsis(width: int) -> None:
    lines = format_table(ROWS, width).splitlines()
    assert max(map(count_columns, lines)) <= width
    assert any("…" in line for line in lines)
    assert (
        len({count_columns(line[: line.index(second)]) for line, second in zip(lines[:2], ("why", "bec"), strict=True)})
        == 1
    )


def test_a_pipe_gets_everything() -> None:
    text = format_table(ROWS)
    assert all(cell in text for row in ROWS for cell in row)


def run_in_terminal(folder: Path, columns: int, *command: str, **variables: str) -> str:
    """What a command prints on a terminal of this width."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"} | {"TERM": "xterm"} | variables
    with subprocess.Popen(command, cwd=folder, stdout=theirs, stderr=theirs, env=environment) as running:
        os.close(theirs)
        printed = b""
        with contextlib.suppress(OSError):  # Linux says so when the other end is closed
            while data := os.read(ours, 1 << 16):
                printed += data
    os.close(ours)
    assert running.returncode is not None
    return printed.decode()


def test_a_terminal_gets_a_table_of_its_width(tmp_path: Path) -> None:
    printed = run_in_terminal(tmp_path, 62, "m2g", "runtimes", "list")
    assert max(map(count_columns, printed.splitlines())) <= 62
    assert "…" in printed
    piped = subprocess.run(["m2g", "runtimes", "list"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert "…" not in piped
    assert len(piped.splitlines()) == len(printed.splitlines())


def test_colors_are_for_terminals_and_can_be_turned_off(tmp_path: Path) -> None:
    assert "\x1b[31m" in run_in_terminal(tmp_path, 80, "m2g", "render")
    assert "\x1b[" not in run_in_terminal(tmp_path, 80, "m2g", "render", NO_COLOR="1")
    piped = subprocess.run(["m2g", "render"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "\x1b[" not in piped.stderr
