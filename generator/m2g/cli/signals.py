"""SIGTERM, which CI and containers send to cancel: a run ends as after Ctrl-C and leaves nothing behind."""

from __future__ import annotations

import signal
import time
from types import FrameType

from m2g.core.errors import Exit

_REPEAT = 2.0
"""A second SIGTERM within so many seconds is ignored: `timeout`, for one, signals both the process and its group."""


class Terminated(SystemExit):
    """SIGTERM arrived; raised in the main thread.

    It is a SystemExit because asyncio lets only that and KeyboardInterrupt pass, and click handles KeyboardInterrupt.
    """


def handle_sigterm() -> None:
    """Raise Terminated at SIGTERM, unless the parent process made m2g ignore that signal."""
    last: float | None = None

    def end(_number: int, _frame: FrameType | None) -> None:
        nonlocal last
        before, last = last, time.monotonic()
        if before is None or last - before > _REPEAT:
            raise Terminated(Exit.TERMINATED)

    if signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN:
        signal.signal(signal.SIGTERM, end)
