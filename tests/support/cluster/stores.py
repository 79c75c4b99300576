"""Object stores on loopback, as far as KServe's storage initializer sees them: S3, Google's, Azure's two, Hugging Face.

All serve the same files. A proxy brings Azure's host names to the same server.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

from tests.support.cluster.certificates import make_certificate
from tests.support.programs import folder

_DATE = "Thu, 01 Jan 2026 00:00:00 GMT"
_COMMIT = "0" * 39 + "1"
AZURE = ("acme.blob.core.windows.net", "acme.file.core.windows.net")


class Stores:
    """The running stores. `environment` is what a storage initializer needs to find them."""

    def __init__(self, environment: dict[str, str], asked: list[str]) -> None:
        self.environment = environment
        self.asked = asked


class _Handler(http.server.BaseHTTPRequestHandler):
    """`files` are by path inside a bucket, a container, a share or a repository; all of these have the same."""

    protocol_version = "HTTP/1.1"
    files: Mapping[str, bytes]
    asked: list[str]

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.asked.append(f"{self.command} {self.headers.get('Host')} {self.path}")
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
        path = unquote(parts.path)
        host = str(self.headers.get("Host", "")).partition(":")[0]
        if host == AZURE[0]:
            self._azure_blob(path, query)
        elif host == AZURE[1]:
            self._azure_file(path, query)
        elif path.startswith(("/storage/v1/b/", "/download/storage/v1/b/")):
            self._google(path, query)
        elif path.startswith("/api/models/") or "/resolve/" in path:
            self._hub(path)
        else:
            self._s3(path, query)

    def _send(
        self,
        body: bytes = b"",
        kind: str = "application/xml",
        code: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.send_response(code)
        named = {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}
        for key, value in named.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _json(self, value: object, code: int = 200) -> None:
        self._send(json.dumps(value).encode(), "application/json", code)

    def _content(self, name: str, **headers: str) -> None:
        """A file, or the part of it that is asked for."""
        if name not in self.files:
            return self._send(code=404)
        body = self.files[name]
        etag = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        common = {"ETag": etag, "Last-Modified": _DATE, "Accept-Ranges": "bytes", **named}
        wanted = self.headers.get("x-ms-range") or self.headers.get("Range")
        if not wanted or not body:
            return self._send(body, "application/octet-stream", headers=common)
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        end = min(int(last or len(body) - 1), len(body) - 1)
        part = body[int(first) : end + 1]
        common["Content-Range"] = f"bytes {first}-{end}/{len(body)}"
        return self._send(part, "application/octet-stream", 206, common)

    def _s3(self, path: str, query: Mapping[str, str]) -> None:
        _, _, key = path.lstrip("/").partition("/")
        if key:
            return self._content(key)
        found = [name for name in sorted(self.files) if name.startswith(query.get("prefix", ""))]
        listed = "".join(
            f"<Contents><Key>{escape(quote(name))}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
            f"<ETag>e</ETag><Size>{len(self.files[name])}</Size></Contents>"
            for name in found
        )
        head = "<EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>"
        text = f"<ListBucketResult>{head}{listed}</ListBucketResult>"
        return self._send(text.encode())

    def _google(self, path: str, query: Mapping[str, str]) -> None:
        _, _, name = path.partition("/o/")
        if name:
            return self._content(name)
        found = [one for one in sorted(self.files) if one.startswith(query.get("prefix", ""))]
        return self._json({"kind": "storage#objects", "items": [{"name": name, "bucket": "mlflow"} for name in found]})

    def _azure_blob(self, path: str, query: Mapping[str, str]) -> None:
        _, _, name = path.lstrip("/").partition("/")
        if name:
            return self._content(name, x_ms_blob_type="BlockBlob", x_ms_version="2021-12-02")
        found = [one for one in sorted(self.files) if one.startswith(query.get("prefix", ""))]
        blobs = "".join(
            f"<Blob><Name>{escape(one)}</Name><Properties><Last-Modified>{_DATE}</Last-Modified><Etag>e</Etag>"
            f"<Content-Length>{len(self.files[one])}</Content-Length><BlobType>BlockBlob</BlobType></Properties></Blob>"
            for one in found
        )
        text = f'<EnumerationResults ContainerName="mlflow"><Blobs>{blobs}</Blobs><NextMarker /></EnumerationResults>'
        return self._send(text.encode())

    def _azure_file(self, path: str, query: Mapping[str, str]) -> None:
        _, _, name = path.strip("/").partition("/")
        if query.get("comp") != "list":
            return self._content(name, x_ms_version="2021-12-02", x_ms_type="File")
        files, folders = self._children(name)
        listed = "".join(
            f"<File><Name>{escape(one)}</Name><Properties><Content-Length>{size}</Content-Length></Properties></File>"
            for one, size in files.items()
        ) + "".join(f"<Directory><Name>{escape(one)}</Name><Properties /></Directory>" for one in folders)
        text = f"<EnumerationResults><Entries>{listed}</Entries><NextMarker /></EnumerationResults>"
        return self._send(text.encode())

    def _children(self, name: str) -> tuple[dict[str, int], list[str]]:
        """The files of a folder with their sizes, and its folders."""
        inside = {
            one.removeprefix(f"{name}/" if name else ""): len(body)
            for one, body in self.files.items()
            if not name or one.startswith(f"{name}/")
        }
        files = {one: size for one, size in inside.items() if "/" not in one}
        return files, sorted({one.partition("/")[0] for one in inside if "/" in one})

    def _hub(self, path: str) -> None:
        if "/resolve/" in path:
            name = path.partition("/resolve/")[2].partition("/")[2]
            return self._content(f"hub/{name}", X_Repo_Commit=_COMMIT)
        names = [one.removeprefix("hub/") for one in sorted(self.files) if one.startswith("hub/")]
        siblings = [{"rfilename": one} for one in names]
        if "/tree/" in path:
            tree = [
                {"type": "file", "path": one, "size": len(self.files[f"hub/{one}"]), "oid": "1" * 40} for one in names
            ]
            return self._json(tree)
        return self._json({"id": "acme/wine", "sha": _COMMIT, "siblings": siblings, "private": False})

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is http.server's
        """Say nothing."""


class _Proxy(http.server.BaseHTTPRequestHandler):
    """CONNECT to anything ends at one address."""

    port: int

    def do_CONNECT(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port)) as other:
            self.send_response(200)
            self.end_headers()
            forth = threading.Thread(target=_copy, args=(self.connection, other), daemon=True)
            forth.start()
            _copy(other, self.connection)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is http.server's
        """Say nothing."""


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def stores(files: Mapping[str, bytes]) -> Iterator[Stores]:
    """Serve files by all protocols until the block ends."""
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(folder("stores"))
        authority = make_certificate(place, *AZURE)
        (place / "authority.pem").write_bytes(authority)
        asked: list[str] = []
        handler = type("Handler", (_Handler,), {"files": files, "asked": asked})
        plain = stack.enter_context(_serving(handler))
        secure = stack.enter_context(_serving(handler, place))
        proxy = stack.enter_context(_serving(type("Proxy", (_Proxy,), {"port": secure})))
        here = f"http://127.0.0.1:{plain}"
        yield Stores(
            {
                "AWS_ENDPOINT_URL": here,
                "AWS_ACCESS_KEY_ID": "key",
                "AWS_SECRET_ACCESS_KEY": "secret",
                "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_EC2_METADATA_DISABLED": "true",
                "AZURE_STORAGE_ACCESS_KEY": "a2V5",
                "STORAGE_EMULATOR_HOST": here,
                "GOOGLE_CLOUD_PROJECT": "acme",
                "NO_GCE_CHECK": "true",
                "HF_ENDPOINT": here,
                "HF_HUB_DISABLE_XET": "1",
                "HF_HUB_DISABLE_TELEMETRY": "1",
                "HTTPS_PROXY": f"http://127.0.0.1:{proxy}",
                "NO_PROXY": "127.0.0.1",
                "REQUESTS_CA_BUNDLE": str(place / "authority.pem"),
                "SSL_CERT_FILE": str(place / "authority.pem"),
                "HOME": str(place),
            },
            asked,
        )


@contextlib.contextmanager
def _serving(handler: type[http.server.BaseHTTPRequestHandler], certificate: Path | None = None) -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate / "certificate.pem", certificate / "key.pem")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
