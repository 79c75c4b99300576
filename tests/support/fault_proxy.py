"""A proxy before a real forge that makes one call fail: the requests of git and of the API, counted together."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from urllib.parse import urlsplit

import msgspec

LIMITED = b'{"message": "You have exceeded a secondary rate limit"}'
ANSWERS: dict[str, tuple[int, dict[str, str], bytes]] = {
    "503": (503, {}, b'{"message": "unavailable"}'),
    "429": (429, {"Retry-After": "0"}, LIMITED),
    "403": (403, {"Retry-After": "0"}, LIMITED),
}
"""What the forge says in place of doing something."""


class Proxy(msgspec.Struct):
    """A running proxy. `calls` are those since the last `start`; `fault` is the number of one and its fate.

    `kill` ends the process `victim` before the call, `killed` after the forge has carried it out; `lost` carries it out
    and gives no answer, `reset` neither; 503, 429 and 403 are answers of the forge, and `run` calls `between` before.
    """

    url: str
    calls: list[str]
    fault: tuple[int, str] = (0, "")
    lasts: bool = False
    victim: int = 0
    between: Callable[[], None] | None = None

    def start(self, number: int = 0, kind: str = "", *, lasts: bool = False) -> None:
        """Count anew, and let this call fail; with `lasts` all after it, too.

        Without a number, each call of the API fails when it is made for the first time.
        """
        self.calls.clear()
        self.fault, self.lasts, self.victim = (number, kind), lasts, 0


@contextmanager
def fault_proxy(upstream: str) -> Iterator[Proxy]:
    """Pass requests to `upstream`."""
    target = urlsplit(upstream).netloc
    state = Proxy(url="", calls=[])
    lock = Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            body = self._read()
            with lock:
                state.calls.append(f"{self.command} {self.path}")
                number, kind = state.fault
                hit = len(state.calls) == number or (state.lasts and len(state.calls) > number > 0)
                if not number and "/api/" in self.path:
                    hit = state.calls.count(state.calls[-1]) == 1
            kind = kind if hit else ""
            if kind == "kill":
                os.kill(state.victim, signal.SIGKILL)
            if kind in ("kill", "reset"):
                return self._reset()
            if kind in ANSWERS:
                return self._answer(*ANSWERS[kind])
            if kind == "run" and state.between is not None:
                state.between()
            connection = http.client.HTTPConnection(target)
            headers = {
                name: value
                for name, value in self.headers.items()
                if name.lower() not in ("host", "transfer-encoding", "content-length", "expect", "connection")
            }
            connection.request(self.command, self.path, body or None, headers)
            response = connection.getresponse()
            content = response.read()
            connection.close()
            if kind == "killed":
                os.kill(state.victim, signal.SIGKILL)
            if kind in ("killed", "lost"):
                return self._reset()
            kept = {name: value for name, value in response.getheaders() if name.lower() in _KEPT}
            return self._answer(response.status, kept, content)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = pass_on  # noqa: N815  # the base's names

        def _read(self) -> bytes:
            if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def _reset(self) -> None:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True

        def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


_KEPT = ("content-type", "content-encoding", "cache-control", "www-authenticate", "retry-after", "location")
