"""SIGTERM, by which CI and containers cancel: a run ends as by Ctrl-C, with nothing left behind."""

from __future__ import annotations

import signal
import time
from types import FrameType

from m2g.core.errors import Exit

_AGAIN = 2.0
"""Seconds in which one more is the same one: `timeout`, for one, sends it to the process and to its group."""


class Terminated(SystemExit):
    """Raised in the main thread. asyncio lets through no other but KeyboardInterrupt, which click makes its own."""


def heed() -> None:
    """Raise Terminated at SIGTERM, unless whoever started m2g has it ignored."""
    last: float | None = None

    def end(_number: int, _frame: FrameType | None) -> None:
        nonlocal last
        before, last = last, time.monotonic()
        if before is None or last - before > _AGAIN:
            raise Terminated(Exit.TERMINATED)

    if signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN:
        signal.signal(signal.SIGTERM, end)
