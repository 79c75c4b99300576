"""Git's own HTTP server on loopback, for machines where Gitea is not built: it tells of pushes as Gogs and Gitea do."""

from __future__ import annotations

import contextlib
import http.server
import os
import subprocess
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from tests.support.cluster.forge import Forge
from tests.support.cluster.programs import folder
from tests.support.scaffolded import git

_OWNER = "ada"
_STATES = {"A": "added", "D": "removed", "M": "modified"}


class GitServer(Forge):
    """The repositories in a folder."""

    def __init__(self, place: Path, host: str) -> None:
        super().__init__(httpx.Client(trust_env=False), host)
        self._place = place
        self._hooks: dict[str, list[str]] = defaultdict(list)

    def create(self, name: str) -> str:
        """An empty repository; its URL."""
        git(self._place, "init", "-q", "--bare", f"{name}.git")
        return f"http://{self._host}/{_OWNER}/{name}.git"

    def hook(self, name: str, url: str) -> None:
        """Tell a URL of each push."""
        self._hooks[name].append(url)

    def remote(self, name: str) -> str:
        """Where to push to."""
        return str(self._place / f"{name}.git")

    def push(self, root: Path, name: str) -> str:
        """Commit all that changed in a folder, and push it; the new commit.

        Argo CD's ApplicationSet controller does not know this kind of event: it answers 400, and polls.
        """
        commit = super().push(root, name)
        for url in self._hooks[name]:
            self._client.post(url, json=self._describe(root, name), headers={"X-Gogs-Event": "push"})
        return commit

    def _describe(self, root: Path, name: str) -> dict[str, Any]:
        changed: dict[str, list[str]] = {state: [] for state in _STATES.values()}
        for line in git(root, "log", "-1", "--format=", "--name-status", "--no-renames").splitlines():
            state, _, path = line.partition("\t")
            changed[_STATES[state]].append(path)
        commit = git(root, "rev-parse", "HEAD").strip()
        address = f"http://{self._host}/{_OWNER}/{name}"
        repository = {"html_url": address, "clone_url": f"{address}.git", "default_branch": "main"}
        commits = [{"id": commit, **changed}]
        return {
            "ref": "refs/heads/main",
            "before": commit,
            "after": commit,
            "commits": commits,
            "repository": repository,
        }


@contextlib.contextmanager
def git_server() -> Iterator[GitServer]:
    """Serve a folder of repositories for reading."""
    with folder("git") as place:
        handler = type("Handler", (_Handler,), {"place": place})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield GitServer(place, f"127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
            server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    """CGI for `git http-backend`."""

    place: Path

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self._read())

    def _read(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers["Content-Length"]))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _answer(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        variables = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.place),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path.removeprefix(f"/{_OWNER}"),
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=variables, capture_output=True, check=True)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for key, value in fields.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is http.server's
        """Say nothing."""
