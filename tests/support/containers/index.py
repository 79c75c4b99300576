"""A private package index on loopback: it wants a password, and passes on what the public one has.

python -m tests.support.containers.index PORT USER PASSWORD FOLDER

Files are kept in FOLDER by their digest.
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from pip._internal.models.index import PyPI

_JSON = "application/vnd.pypi.simple.v1+json"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    expected: str
    folder: Path
    client: httpx.Client
    urls: dict[str, str] = {}
    """Path here → address there."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        if self.headers.get("Authorization") != self.expected:
            self._send(401, b"", "text/plain", {"WWW-Authenticate": 'Basic realm="packages"'})
        elif self.path.startswith("/simple/"):
            self._list(self.path.strip("/").split("/")[1])
        elif self.path in self.urls:
            self._send(200, self._fetch(self.urls[self.path]), "application/octet-stream")
        else:
            self._send(404, b"", "text/plain")

    def _list(self, name: str) -> None:
        answer = self.client.get(f"{PyPI.simple_url}/{name}/", headers={"Accept": _JSON})
        if answer.status_code != 200:
            return self._send(answer.status_code, b"", "text/plain")
        page: dict[str, Any] = answer.json()
        for file in page["files"]:
            url = str(answer.url.join(file["url"]))
            path = f"/files{urlsplit(url).path}"
            self.urls[path] = url
            self.urls[f"{path}.metadata"] = f"{url}.metadata"
            file["url"] = path
        return self._send(200, json.dumps(page).encode(), _JSON)

    def _fetch(self, url: str) -> bytes:
        kept = self.folder / hashlib.sha256(url.encode()).hexdigest()
        if not kept.exists():
            new = kept.with_suffix(f".{id(self)}")
            new.write_bytes(self.client.get(url).raise_for_status().content)
            new.rename(kept)
        return kept.read_bytes()

    def _send(self, code: int, body: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for key, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
        """Say nothing."""


def main(port: str, user: str, password: str, folder: str) -> None:
    """Serve until killed."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    _Handler.expected = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    _Handler.folder = Path(folder)
    _Handler.client = httpx.Client(timeout=180, follow_redirects=True)
    http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), _Handler).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
