"""Progress on stderr: one line that is updated on a terminal, nothing elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

_EVERY = 0.1
"""Seconds between two updates."""


@contextlib.contextmanager
def show_progress(verb: str) -> Iterator[Callable[[str, int, int], None]]:
    """Gives `tell(what, done, total)`; a total of 0 means unknown. The line is cleared at the end."""
    if not sys.stderr.isatty():
        yield lambda what, done, total: None
        return
    last = 0.0

    def tell(what: str, done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < _EVERY and done != total:
            return
        last = now
        count = f"{done}/{total}" if total else str(done)
        _show(f"\r\x1b[K{verb}: {what} {count}")

    try:
        yield tell
    finally:
        _show("\r\x1b[K")


def _show(text: str) -> None:
    """Write to the terminal. If it is gone, the work goes on."""
    with contextlib.suppress(OSError):
        sys.stderr.write(text)
        sys.stderr.flush()
