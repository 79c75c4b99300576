"""The server of these tests is reached on loopback only, and nothing of it is left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.support.apiserver.server import ASSETS, serve, until
from tests.support.paths import ROOT

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("programs"), pytest.mark.slow]

_SERVE = "from tests.support.apiserver.server import serve\nwith serve() as s: print(s.folder, flush=True); input()"


def _commands(folder: Path) -> list[str]:
    """The programs that run for this folder."""
    done = subprocess.run(["ps", "-eww", "-o", "args"], capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if line.startswith(str(ASSETS)) and str(folder) in line]


def test_a_server_answers_on_loopback_and_leaves_nothing() -> None:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"a": "b"}}
    with contextlib.suppress(ZeroDivisionError), serve() as server:
        assert server.address.startswith("https://127.0.0.1:")
        assert server.check(config).accepted
        assert "dataa" in server.check({**config, "dataa": {}}).message
        assert not server.check({**config, "kind": "ConfigMaps"}).accepted
        assert len(_commands(server.folder)) == 2
        raise ZeroDivisionError
    assert not server.folder.exists()
    until(lambda: not _commands(server.folder), "etcd and kube-apiserver to end")


def test_a_stranger_is_refused() -> None:
    with serve() as server:
        anonymous = httpx.get(f"{server.address}/api/v1/secrets", verify=False, trust_env=False)
        assert anonymous.status_code == 401


def test_a_killed_test_run_leaves_nothing() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    run = subprocess.Popen(
        [sys.executable, "-c", _SERVE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    assert run.stdout is not None
    folder = Path(run.stdout.readline().strip())
    assert len(_commands(folder)) == 2
    run.send_signal(signal.SIGKILL)
    run.wait()
    until(lambda: not folder.exists() and not _commands(folder), "etcd and kube-apiserver to end")
    run.communicate()
