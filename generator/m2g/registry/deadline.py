"""Time limits that hold whatever the other side does: for the bytes of a request, and for a call of a library."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable
from ssl import SSLContext
from typing import Any, TypeVar

import httpcore

_T = TypeVar("_T")


class Clock(threading.local):
    """The time, of `time.monotonic`, by which the request of this thread must be done."""

    end = float("inf")

    def limit(self, seconds: float | None) -> float:
        """The seconds that one operation may take. Raises httpcore.ReadTimeout if the request's time is over."""
        left = self.end - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the response is too slow")
        return left if seconds is None else min(left, seconds)


class BoundedBackend(httpcore.NetworkBackend):
    """Connections whose every read and write ends by the clock. httpx's own limits begin anew with each read, so that a
    server which sends a byte, or another `100 Continue`, from time to time would be waited for without end."""

    def __init__(self, inner: httpcore.NetworkBackend, clock: Clock) -> None:
        self._inner = inner
        self._clock = clock

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """See httpcore.NetworkBackend."""
        limit = self._clock.limit(timeout)
        return _BoundedStream(self._inner.connect_tcp(host, port, limit, local_address, socket_options), self._clock)


def limit_transport(transport: Any, clock: Clock) -> None:
    """Let every read and write of an httpx transport end by the clock. There is no public way."""
    pool = transport._pool  # a test holds that the limit works
    pool._network_backend = BoundedBackend(pool._network_backend, clock)


def explain_encoding(encoding: str) -> str:
    """What is wrong with the `Content-Encoding` of a response; empty for nothing.

    Each layer makes up to a thousand bytes of one, before anybody can count them. One is enough.
    """
    return "" if encoding.strip().lower() in ("", "identity", "gzip") else f"its encoding is {encoding[:100]!r}"


class _BoundedStream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, clock: Clock) -> None:
        self._inner = inner
        self._clock = clock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._clock.limit(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._clock.limit(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _BoundedStream(
            self._inner.start_tls(ssl_context, server_hostname, self._clock.limit(timeout)), self._clock
        )

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class Worker:
    """Calls functions one after another in a thread of their own, and does not wait longer than it is told.

    A call that does not return is left behind, with its thread. It cannot keep the process from ending.
    """

    def __init__(self) -> None:
        self._tasks: queue.SimpleQueue[Callable[[], None]] | None = None

    def call(self, function: Callable[[], _T], seconds: float) -> _T:
        """What the function returns or raises. Raises TimeoutError if it takes longer."""
        answers: queue.SimpleQueue[tuple[_T | None, BaseException | None]] = queue.SimpleQueue()

        def work() -> None:
            try:
                answers.put((function(), None))
            except BaseException as error:  # noqa: BLE001  # every exception belongs to the caller
                answers.put((None, error))

        if self._tasks is None:
            self._tasks = queue.SimpleQueue()
            threading.Thread(target=_work_off, args=(self._tasks,), daemon=True).start()
        self._tasks.put(work)
        try:
            value, error = answers.get(timeout=seconds)
        except queue.Empty:
            self._tasks = None  # the next call gets another thread
            raise TimeoutError from None
        if error is not None:
            raise error
        return value  # type: ignore[return-value]  # a function without an error has returned


def _work_off(tasks: queue.SimpleQueue[Callable[[], None]]) -> None:
    while True:
        tasks.get()()
