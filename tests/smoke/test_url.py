"""`m2g smoke --url`: a real MLServer that says its version, and endpoints as the world has them."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.machine import whole_seconds
from tests.support.smoke_runs import SERVERS, deploy, models, smoke

pytestmark = pytest.mark.slow
OURS = ("--venv", str(SERVERS), "--requests", "2", "--timeout", whole_seconds(60))


@pytest.fixture(scope="module")
def wine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models(tmp_path_factory.mktemp("models"), "wine") / "wine"


@pytest.fixture(scope="module")
def deployed(wine: Path) -> Iterator[str]:
    """A real MLServer, wired as the manifest wires it, with version 7."""
    with deploy(wine, "7") as url:
        yield url


def test_the_version_of_git_answers(wine: Path, deployed: str) -> None:
    done = smoke("--model-dir", str(wine), "--version", "7", "--url", deployed, *OURS)
    assert done.returncode == 0, done.stdout
    assert "REST  equals pyfunc" in done.stdout
    assert "gRPC" not in done.stdout


def test_another_version_answers(wine: Path, deployed: str) -> None:
    done = smoke("--model-dir", str(wine), "--version", "8", "--url", deployed, *OURS)
    assert done.returncode == 1
    assert "version 7 of wine answers, but Git has version 8" in done.stdout
    done = smoke("--model-dir", str(wine), "--version", "8", "--url", deployed, "--any-version", *OURS)
    assert done.returncode == 0, done.stdout


class World(http.server.BaseHTTPRequestHandler):
    """The first part of the path says how it behaves."""

    hang = threading.Event()

    def do_GET(self) -> None:
        self._answer(302 if self.path.startswith("/login") else 200, b"{}", "application/json")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        kind = self.path.split("/")[1]
        if kind == "redirect":
            self._answer(302, b"", "text/plain")
        elif kind == "html":
            self._answer(200, b"<html>welcome</html>", "text/html")
        elif kind == "huge":
            self._answer(200, b"[" + b"1," * (20 << 20), "application/json")
        elif kind == "hanging":
            self.hang.wait()
        elif kind == "token":
            right = self.headers["Authorization"] == "Bearer s3cret" and self.headers["Host"] == "wine.example.com"
            self._answer(500 if right else 401, b"known" if right else b"who?", "text/plain")
        else:
            answer = {"outputs": [{"name": "output-1", "data": [0.5]}]}
            self._answer(200, json.dumps(answer).encode(), "application/json")

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if status == 302:
            self.send_header("Location", "https://ada:pw@login.example.com/")
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def world() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), World) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{made.server_address[1]}"
        World.hang.set()
        made.shutdown()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("redirect", "redirects to https://REDACTED@login.example.com/"),
        ("html", "does not answer JSON (text/html)"),
        ("huge", "answers more than 32 MiB"),
        ("hanging", "/hanging did not answer within "),
        ("login", "is not ready: /v2/models/wine/ready answers 302"),
        ("silent", "does not tell its version; Git has version 7"),
    ],
)
def test_endpoints_that_are_none(wine: Path, world: str, kind: str, words: str) -> None:
    done = smoke("--model-dir", str(wine), "--version", "7", "--url", f"{world}/{kind}", *OURS[:-1], waits(kind))
    assert done.returncode == 1, done.stdout + done.stderr
    assert words in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def waits(kind: str) -> str:
    return whole_seconds(2 if kind == "hanging" else 60)


def test_a_token_comes_from_the_environment(wine: Path, world: str, monkeypatch: pytest.MonkeyPatch) -> None:
    address = ("--model-dir", str(wine), "--url", f"{world}/token", "--host", "wine.example.com", *OURS)
    assert "answers 401: who?; name the environment variable that holds a token" in smoke(*address).stdout
    assert "MY_TOKEN has no token" in smoke(*address, "--token-env", "MY_TOKEN").stdout
    monkeypatch.setenv("MY_TOKEN", "s3cret")
    done = smoke(*address, "--token-env", "MY_TOKEN")
    assert "answers 500: known" in done.stdout
    assert "s3cret" not in done.stdout + done.stderr


def test_nobody_listens_and_no_address(wine: Path) -> None:
    done = smoke("--model-dir", str(wine), "--url", "http://127.0.0.1:9", *OURS)
    assert "http://127.0.0.1:9 cannot be reached" in done.stdout
    assert done.returncode in (1, 3)
    done = smoke("--model-dir", str(wine), "--url", "https://ada:pw@models.example.com", *OURS)
    assert "'https://REDACTED@models.example.com' is not the URL of an endpoint" in done.stdout
    assert done.returncode == 2
    done = smoke("--model-dir", str(wine), "--url", "file:///etc/passwd")
    assert "is not the URL of an endpoint" in done.stdout
    assert "building the environment" not in done.stderr
