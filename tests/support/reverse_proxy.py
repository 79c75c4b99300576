"""A reverse proxy before a real server: what stands between m2g and most MLflow servers."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

import msgspec


class Proxy(msgspec.Struct):
    """A running proxy: its URL, and the paths that it was asked for."""

    url: str
    asked: list[str]


@contextmanager
def reverse_proxy(upstream: str, route: Callable[[str], str | None]) -> Iterator[Proxy]:
    """Pass requests to `upstream`. `route` maps a path to the upstream's, or to None for a 404 of the proxy itself."""
    target = urlsplit(upstream).netloc
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            path, mark, query = self.path.partition("?")
            asked.append(path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            inner = route(path)
            if inner is None:
                return self.answer(404, "text/html", b"<html>nothing here</html>")
            connection = http.client.HTTPConnection(target)
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            connection.request(self.command, f"{inner}{mark}{query}", body or None, headers)
            response = connection.getresponse()
            content = response.read()
            connection.close()
            return self.answer(response.status, response.headers.get("Content-Type", ""), content)

        do_GET = do_POST = pass_on  # noqa: N815  # the base's names

        def answer(self, status: int, kind: str, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Proxy(url=f"http://127.0.0.1:{server.server_port}", asked=asked)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
