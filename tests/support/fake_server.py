"""A small HTTP server that answers as a test says: a fake of what stands between m2g and a good MLflow server."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TypeAlias
from urllib.parse import parse_qsl, urlsplit

import msgspec

API = "/api/2.0/mlflow/"


class Asked(msgspec.Struct, frozen=True):
    """A request as it arrived. `peer` is the port of the client: one per connection."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    peer: int


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A response. `length` lies about the size; `pause` is in seconds, before each of `pieces` of the body.

    An `endless` one repeats the body until the client hangs up.
    """

    body: bytes = b""
    status: int = 200
    kind: str = "application/json"
    headers: Mapping[str, str] = {}
    length: int | None = None
    pause: float = 0
    pieces: int = 1
    hang_up: bool = False
    endless: bool = False


Script: TypeAlias = Callable[[Asked], Answer]


def good(value: object) -> Answer:
    return Answer(body=msgspec.json.encode(value))


def no(status: int, code: str, message: str) -> Answer:
    return Answer(status=status, body=json.dumps({"error_code": code, "message": message}).encode())


def page(text: str = "<!doctype html><html><title>Sign in</title></html>", status: int = 200) -> Answer:
    return Answer(status=status, kind="text/html; charset=utf-8", body=text.encode())


class Fake:
    """A running fake: its URL and what it was asked."""

    def __init__(self, url: str, asked: list[Asked], closing: threading.Event) -> None:
        self.url = url
        self.asked = asked
        self.closing = closing

    def count(self, path: str) -> int:
        return sum(one.path.endswith(path) for one in self.asked)


@contextmanager
def fake(script: Script, tls: tuple[Path, Path | None] | None = None) -> Iterator[Fake]:
    """Serve `script` on loopback; `tls` is (certificate with key, authority that clients must be signed by)."""
    asked: list[Asked] = []
    closing = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            split = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            one = Asked(split.path, dict(parse_qsl(split.query)), dict(self.headers), body, self.client_address[1])
            asked.append(one)
            self.respond(script(one))

        do_GET = do_POST = handle_one  # noqa: N815  # the base's names

        def respond(self, answer: Answer) -> None:
            if answer.hang_up:
                self.close_connection = True
                return
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.kind)
            if not answer.endless:
                self.send_header("Content-Length", str(len(answer.body) if answer.length is None else answer.length))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            while answer.endless and not closing.wait(answer.pause):
                self.wfile.write(answer.body)
            size = max(1, len(answer.body) // answer.pieces)
            for start in range(0, len(answer.body), size):
                if answer.pause and closing.wait(answer.pause):
                    return
                self.wfile.write(answer.body[start : start + size])
                self.wfile.flush()
            if answer.length is not None or answer.endless:
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 512

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that hangs up is no news."""

    server = Quiet(("127.0.0.1", 0), Handler)
    scheme = "http"
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls[0])
        if tls[1] is not None:
            context.load_verify_locations(tls[1])
            context.verify_mode = ssl.CERT_REQUIRED
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        scheme = "https"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield Fake(f"{scheme}://127.0.0.1:{server.server_port}", asked, closing)
    finally:
        closing.set()
        server.shutdown()
        server.server_close()
