"""Progress: the time left on a terminal, and a line now and then in a log."""

from __future__ import annotations

import io

import pytest

from m2g.report import progress


class Stream(io.StringIO):
    """A stderr that is a terminal, or is none."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def show(monkeypatch: pytest.MonkeyPatch, *, terminal: bool, step: float) -> str:
    """What 1,000 versions print, of which each takes `step` seconds."""
    stream, now = Stream(terminal=terminal), [100.0]
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr("m2g.report.progress.time.monotonic", lambda: now[0])
    with progress.show_progress("render") as tell:
        for done in range(1, 1001):
            now[0] += step
            tell("facts of versions", done, 1000)
    return stream.getvalue()


def test_a_terminal_has_one_line_with_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    said = show(monkeypatch, terminal=True, step=0.25).split("\r\x1b[K")
    assert said[1] == "render: facts of versions 1/1000"
    assert said[500] == "render: facts of versions 500/1000, 4 a second, 2 min 5 s left"
    assert said[-1] == ""
    assert not any("\n" in line for line in said)


def test_a_log_has_a_line_every_half_minute_and_none_for_short_work(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = show(monkeypatch, terminal=False, step=0.25).splitlines()
    assert lines[0] == "render: facts of versions 120/1000, 4 a second, 3 min 40 s left"
    assert len(lines) == 8
    assert show(monkeypatch, terminal=False, step=0.01) == ""
