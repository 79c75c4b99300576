"""A package index that only somebody's settings files name: whoever asks it has obeyed them."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Iterator


class Index(http.server.BaseHTTPRequestHandler):
    """It has nothing, and keeps what it was asked for."""

    asked: list[str] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        """Silent."""


@contextlib.contextmanager
def named_index() -> Iterator[str]:
    """The address of a running index."""
    Index.asked.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Index) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/simple"
        server.shutdown()
