"""The first contact with a large registry, interrupted in the middle, goes on where it stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench import fleet

from tests.support.machine import seconds
from tests.support.mlflow_store import PYTHON3, Server

pytestmark = pytest.mark.slow
MODELS = 150
CACHED = 250
"""m2g keeps what it read every so many versions."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    started = Server(PYTHON3).wait()
    fleet.fill(f"sqlite:///{started.folder}/mlflow.db", started.folder / "proxied", MODELS)
    yield started
    started.stop()


def count_mlmodels(server: Server) -> int:
    return (server.folder / "log").read_bytes().count(b"/MLmodel HTTP/1.1")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_what_was_read_is_not_read_again(server: Server, tmp_path: Path, end: signal.Signals) -> None:
    before, here = count_mlmodels(server), tmp_path / "here"
    here.mkdir()
    command = [sys.executable, "-m", "m2g", "assess", "--format", "json"]
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": server.url,
        "M2G_CACHE_DIR": str(tmp_path / "cache"),
    }
    with subprocess.Popen(
        command, cwd=here, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as running:
        limit = time.monotonic() + seconds(120)
        while count_mlmodels(server) - before < CACHED + 5 and time.monotonic() < limit:
            assert running.poll() is None
            time.sleep(0.05)
        running.send_signal(end)
        _, said = running.communicate(timeout=seconds(60))
    assert running.returncode == (130 if end is signal.SIGINT else -end), said
    assert b"Traceback" not in said
    middle = count_mlmodels(server)
    done = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    again = count_mlmodels(server) - middle
    assert again <= 2 * MODELS - CACHED + 1  # one is asked for to learn where the server keeps its files
    assert '"models": 150' in done.stdout
