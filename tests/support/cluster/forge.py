"""Gitea on loopback: users, repositories, pushes and webhooks."""

from __future__ import annotations

import contextlib
import getpass
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx

from tests.support.apiserver.server import until
from tests.support.cluster.programs import ASSETS, address, call, environment, folder, program, running
from tests.support.machine import seconds

_USER, _PASSWORD = "ada", "correct-horse-battery"
_CONFIG = """\
APP_NAME = m2g
RUN_USER = {user}
RUN_MODE = prod
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
WORK_PATH = {place}

[server]
HTTP_ADDR = {host}
HTTP_PORT = {port}
ROOT_URL = http://{host}:{port}/
STATIC_ROOT_PATH = {assets}
DISABLE_SSH = true
OFFLINE_MODE = true

[database]
DB_TYPE = sqlite3

[repository]
DEFAULT_BRANCH = main

[security]
INSTALL_LOCK = true
SECRET_KEY = secret
PASSWORD_HASH_ALGO = pbkdf2

[webhook]
ALLOWED_HOST_LIST = loopback

[indexer]
ISSUE_INDEXER_TYPE = db

[queue]
TYPE = channel

[session]
PROVIDER = memory

[actions]
ENABLED = false

[log]
MODE = console
LEVEL = warn
"""


class Forge:
    """A running Gitea and its one user."""

    def __init__(self, client: httpx.Client, host: str) -> None:
        self._client = client
        self._host = host

    def create(self, name: str) -> str:
        """An empty repository; its URL, which everybody can read."""
        self._client.post("/user/repos", json={"name": name}).raise_for_status()
        return f"http://{self._host}/{_USER}/{name}.git"

    def hook(self, name: str, url: str) -> None:
        """Tell a URL of each push."""
        body = {
            "type": "gitea",
            "active": True,
            "events": ["push"],
            "config": {"url": url, "content_type": "json"},
        }
        self._client.post(f"/repos/{_USER}/{name}/hooks", json=body).raise_for_status()

    def remote(self, name: str) -> str:
        """Where to push to."""
        return f"http://{_USER}:{_PASSWORD}@{self._host}/{_USER}/{name}.git"

    def push(self, root: Path, name: str) -> str:
        """Commit all that changed in a folder, and push it; the new commit."""
        if not (root / ".git").exists():
            _git(root, "init", "-q", "-b", "main")
        _git(root, "add", "-A")
        _git(root, "commit", "-q", "--allow-empty", "-m", "change")
        _git(root, "push", "-q", self.remote(name), "HEAD:main")
        return _git(root, "rev-parse", "HEAD").strip()


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments],
        cwd=root,
        env=os.environ | {"GIT_ALLOW_PROTOCOL": "file:http", "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextlib.contextmanager
def gitea() -> Iterator[Forge]:
    """A Gitea with one user."""
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(folder("gitea"))
        host, port = address().split(":")
        config = place / "app.ini"
        config.write_text(
            _CONFIG.format(user=getpass.getuser(), place=place, host=host, port=port, assets=ASSETS / "gitea")
        )
        own = [program("gitea"), "--config", str(config)]
        more = environment(place, USER=getpass.getuser())
        call([*own, "migrate"], more=more)
        user = ["--username", _USER, "--password", _PASSWORD, "--email", "ada@example.com"]
        call([*own, "admin", "user", "create", "--admin", "--must-change-password=false", *user], more=more)
        stack.enter_context(running("gitea", [*own, "web"], USER=getpass.getuser()))
        client = stack.enter_context(
            httpx.Client(
                base_url=f"http://{host}:{port}/api/v1",
                auth=(_USER, _PASSWORD),
                timeout=seconds(30),
                trust_env=False,
            )
        )
        until(lambda: _answers(client), "Gitea to answer", 90)
        yield Forge(client, f"{host}:{port}")


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/version").is_success
    except httpx.TransportError:
        return False
