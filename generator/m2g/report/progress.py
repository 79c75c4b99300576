"""Progress on stderr: on a terminal one line with the time left, elsewhere a line now and then."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

_EVERY = 0.1
"""Seconds between two updates on a terminal."""
_QUIET = 30.0
"""Seconds between two lines in a log. What takes less time has none."""
_KNOWN = 2.0
"""Seconds after which the rate says something about the time left."""


@contextlib.contextmanager
def show_progress(verb: str) -> Iterator[Callable[[str, int, int], None]]:
    """Gives `tell(what, done, total)`; a total of 0 means unknown. On a terminal, the line is cleared at the end."""
    terminal = sys.stderr.isatty()
    every, start, end = (_EVERY, "\r\x1b[K", "") if terminal else (_QUIET, "", "\n")
    last = time.monotonic() - (every if terminal else 0.0)
    work, began, first = "", 0.0, 0

    def tell(what: str, done: int, total: int) -> None:
        nonlocal last, work, began, first
        now = time.monotonic()
        if what != work:
            work, began, first = what, now, done
        if now - last < every and (done != total or not terminal):
            return
        last = now
        count = f"{done}/{total}" if total else str(done)
        _show(f"{start}{verb}: {what} {count}{_describe_rest(done - first, total - done, now - began)}{end}")

    try:
        yield tell
    finally:
        if terminal:
            _show(start)


def _describe_rest(done: int, left: int, seconds: float) -> str:
    """How fast it is and how long the rest takes, if that can be said."""
    if done <= 0 or left <= 0 or seconds < _KNOWN:
        return ""
    rest = left * seconds / done
    minutes, rest = divmod(round(rest), 60)
    duration = f"{minutes} min {rest} s" if minutes else f"{rest} s"
    return f", {done / seconds:.0f} a second, {duration} left"


def _show(text: str) -> None:
    """Write to stderr. If it is gone, the work goes on."""
    with contextlib.suppress(OSError):
        sys.stderr.write(text)
        sys.stderr.flush()
