"""Wake the loop of `m2g serve`, from another thread or from a signal's handler."""

from __future__ import annotations

import queue
import time


class Wake:
    """Events until the next look are one event. SimpleQueue is the one lock of Python that a signal may interrupt."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """Whether to end."""
        return self._stopped

    def call(self) -> None:
        """Something has happened."""
        if self._queue.empty():
            self._queue.put(None)

    def stop(self) -> None:
        """End as soon as the running sync is done."""
        self._stopped = True
        self._queue.put(None)

    def clear(self) -> None:
        """Forget what has happened: what comes next sees it."""
        while not self._queue.empty():
            self._queue.get()

    def wait(self, seconds: float) -> bool:
        """Wait until something happens. Whether it did."""
        try:
            self._queue.get(timeout=seconds)
        except queue.Empty:
            return False
        return True

    def pause(self, seconds: float) -> None:
        """Wait so long, whatever happens but `stop`."""
        end = time.monotonic() + seconds
        while not self._stopped and (left := end - time.monotonic()) > 0:
            self.wait(left)
