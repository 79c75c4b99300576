"""Real MLflow stores for tests: servers of 3.x and 2.22, a database, a folder; each made once in a test process.

`store("mlflow3")` starts and fills it the first time. What is in it: tests/support/mlflow_seed.py.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec
import pytest

from tests.support.machine import seconds
from tests.support.paths import ROOT

PYTHON3 = Path(sys.executable)
PYTHON2 = Path(os.environ.get("CONTRACT_PYTHON") or ROOT / ".venv-mlflow2/bin/python")
"""The other MLflow: 2.22, or the one of `make contract`."""
Kind: TypeAlias = Literal["mlflow3", "mlflow2", "sqlite", "folder"]
KINDS: tuple[Kind, ...] = ("mlflow3", "mlflow2", "sqlite", "folder")
ORDINARY = ("direct", "elsewhere", "empty", "fraud", "gone", "notes", "wine-quality")
"""The registered models that tests/support/mlflow_seed.py makes, beside the weird ones."""
WEIRD = (
    "a'b\"c",
    "{{ .Values.x }}",
    "модель-🍷",
    "${X}\nnext line",
    "-rf ..",
    " lead",
    "UPPER_case.1",
    "percent%2Fand+plus&amp;=?#x",
    "back\\slash",
    "--comment; drop",
    "n" * 200,
)
"""Names of a version each, all with the artifacts of a wine. MLflow refuses `/` and `:`, a folder store `%`, too."""
_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # else it starts seven more processes of 220 MB
    "MLFLOW_ALLOW_FILE_STORE": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}
_START = 90


class Store(msgspec.Struct, frozen=True, kw_only=True):
    """`uri` is for m2g; `folder` holds the database `mlflow.db` (not for kind `folder`)."""

    uri: str
    folder: Path


class Server:
    """An MLflow server without content. It ends with `stop`, and with the test process at the latest."""

    def __init__(self, python: Path, *options: str) -> None:
        self.folder = _folder()
        self.url = f"http://127.0.0.1:{find_port()}"
        command = [str(python), "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", self.url.rpartition(":")[2]]
        command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db"]
        command += ["--artifacts-destination", str(self.folder / "proxied"), *options]
        serve = [sys.executable, str(ROOT / "tests/support/mlflow_serve.py"), str(self.folder), *command]
        self._process = subprocess.Popen(serve, stdin=subprocess.PIPE, env={**os.environ, **_SETTINGS})

    def wait(self) -> Server:
        """Until it answers."""
        end = time.monotonic() + seconds(_START)
        while time.monotonic() < end:
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=seconds(5)):
                    return self
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        log = (self.folder / "log").read_text(errors="replace")
        self.stop()
        pytest.fail(f"the MLflow server did not start within {seconds(_START):.0f} s:\n{log[-3000:]}")

    def stop(self) -> None:
        """End it and all its workers; remove its folder."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(seconds(30))


@functools.cache
def store(kind: Kind) -> Store:
    """The filled store of a kind; all that need MLflow 3 are filled together, so that it is imported once."""
    return _filled2() if kind == "mlflow2" else _filled3()[kind]


@functools.cache
def _filled2() -> Store:
    if not PYTHON2.is_file():
        pytest.fail(f"{PYTHON2} is missing; `make test` makes it", pytrace=False)
    server = _server(PYTHON2).wait()
    _fill(PYTHON2, {server.url: server.folder})
    return Store(uri=server.url, folder=server.folder)


@functools.cache
def _filled3() -> dict[Kind, Store]:
    server, database, files = _server(PYTHON3).wait(), _folder(), _folder()
    atexit.register(shutil.rmtree, database, ignore_errors=True)
    atexit.register(shutil.rmtree, files, ignore_errors=True)
    stores: dict[Kind, Store] = {
        "mlflow3": Store(uri=server.url, folder=server.folder),
        "sqlite": Store(uri=f"sqlite:///{database}/mlflow.db", folder=database),
        "folder": Store(uri=(files / "mlruns").as_uri(), folder=files),
    }
    _fill(PYTHON3, {made.uri: made.folder for made in stores.values()})
    return stores


_servers: list[Server] = []
"""Kept, because a server whose object is collected ends."""


def _server(python: Path) -> Server:
    _servers.append(Server(python))
    return _servers[-1]


def _fill(python: Path, stores: dict[str, Path]) -> None:
    arguments = [text for uri, folder in stores.items() for text in (uri, str(folder / "direct"))]
    done = subprocess.run(
        [str(python), str(ROOT / "tests/support/mlflow_seed.py"), *arguments],
        env={**os.environ, **_SETTINGS},
        input=json.dumps(WEIRD),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.fail(f"the stores cannot be filled:\n{done.stderr[-3000:]}")


def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="m2g-mlflow-"))


def find_port() -> int:
    """A port on loopback that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
