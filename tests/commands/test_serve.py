"""The loop of `m2g serve`: when it syncs, what it does after a failure, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from m2g.commands.serve import Schedule, SyncRun, serve
from m2g.core.errors import OutsideError
from m2g.delivery.values import SyncResult
from m2g.webhooks.metrics import Metrics
from m2g.webhooks.wake import Wake
from tests.support.git_repository import commit, git, start
from tests.support.machine import seconds
from tests.support.mlflow_store import find_port, store
from tests.support.webhooks import BODY, sign_forge

EMPTY = SyncResult(branch="main", base="0" * 40, dry_run=False)
_CONFIG = """\
version: 1
models: {include: [no-model-*]}
environments: {prod: {namespace: models, follow: {alias: champion}}}
"""
HOUR = Schedule(interval=3600, settle=0.05, backoff=0.01)


class Looping:
    """The loop in a thread. Each sync calls `do`."""

    def __init__(self, schedule: Schedule, do: Callable[[int], None] = lambda number: None) -> None:
        self.wake, self.metrics = Wake(), Metrics()
        self.reports: list[SyncRun] = []
        self.syncs = 0
        self._do = do
        arguments = (schedule, self._sync, self.wake, self.metrics, self.reports.append)
        self.thread = threading.Thread(target=serve, args=arguments, daemon=True)
        self.thread.start()

    def _sync(self) -> SyncResult:
        self.syncs += 1
        self._do(self.syncs)
        return EMPTY

    def wait(self, number: int) -> None:
        """Until so many syncs are done."""
        end = time.monotonic() + seconds(10)
        while len(self.reports) < number:
            assert time.monotonic() < end, f"{len(self.reports)} syncs"
            time.sleep(0.01)

    def stop(self) -> None:
        self.wake.stop()
        self.thread.join(seconds(10))
        assert not self.thread.is_alive()


@pytest.mark.attack
def test_an_event_syncs_and_many_at_once_are_one() -> None:
    loop = Looping(HOUR)
    loop.wait(1)
    for _ in range(1000):
        loop.wake.call()
    loop.wait(2)
    time.sleep(0.2)
    assert loop.syncs == 2
    loop.stop()


def test_what_happens_during_a_sync_is_seen_by_the_next() -> None:
    goes, begun = threading.Event(), threading.Event()

    def do(number: int) -> None:
        begun.set()
        goes.wait(seconds(10))

    loop = Looping(HOUR, do)
    assert begun.wait(seconds(10))
    for _ in range(10):
        loop.wake.call()
    goes.set()
    loop.wait(2)
    time.sleep(0.2)
    assert loop.syncs == 2
    loop.stop()


def test_a_poll_alone_works() -> None:
    loop = Looping(Schedule(interval=0.02))
    loop.wait(5)
    loop.stop()


def test_a_failed_sync_is_tried_again_later_and_later_and_ends_nothing() -> None:
    def do(number: int) -> None:
        if number < 6:
            raise OutsideError("the registry is down")

    loop = Looping(HOUR, do)
    loop.wait(6)
    loop.stop()
    waits = [one.wait for one in loop.reports]
    assert all(0.5 <= wait / (0.01 * 2**number) <= 1 for number, wait in enumerate(waits[:5]))
    assert waits[5] == 0
    assert [one.error for one in loop.reports[:2]] == ["the registry is down"] * 2
    text = loop.metrics.render()
    assert 'm2g_syncs_total{result="failed"} 5\n' in text
    assert 'm2g_syncs_total{result="done"} 1\n' in text
    assert "m2g_sync_failures 0\n" in text


@pytest.mark.attack
def test_events_do_not_hurry_a_registry_that_fails() -> None:
    def do(number: int) -> None:
        raise OutsideError("down")

    loop = Looping(Schedule(interval=3600, backoff=1000), do)
    loop.wait(1)
    for _ in range(20):
        loop.wake.call()
        time.sleep(0.01)
    assert loop.syncs == 1
    loop.stop()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone of a repository that wants none of the models."""
    place = start(tmp_path / "clone")
    (place / "m2g.yaml").write_text(_CONFIG)
    commit(place, "first")
    git(tmp_path, "init", "-q", "--bare", "-b", "main", "remote.git")
    git(place, "remote", "add", "origin", str(tmp_path / "remote.git"))
    git(place, "push", "-q", "origin", "HEAD:main")
    return place


@pytest.fixture
def started(clone: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`m2g serve` on a clone whose registry is a real database."""
    (tmp_path / "tmp").mkdir()
    port = find_port()
    program = subprocess.Popen(
        [sys.executable, "-m", "m2g", "serve", "--listen", f"127.0.0.1:{port}", "--interval", "1h"],
        cwd=clone,
        env={
            **os.environ,
            "MLFLOW_TRACKING_URI": store("sqlite").uri,
            "M2G_GITEA_WEBHOOK_SECRET": "a secret",
            "TMPDIR": str(tmp_path / "tmp"),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield program, f"http://127.0.0.1:{port}"
    finally:
        program.kill()
        program.communicate()


def get(url: str) -> str:
    """A page, as soon as the server answers."""
    end = time.monotonic() + seconds(60)
    while True:
        try:
            return httpx.get(url, timeout=seconds(10), trust_env=False).text
        except httpx.TransportError:
            assert time.monotonic() < end
            time.sleep(0.1)


def wait_for(url: str, line: str) -> None:
    """Until /metrics has a line."""
    end = time.monotonic() + seconds(60)
    while line not in get(f"{url}/metrics").splitlines():
        assert time.monotonic() < end, get(f"{url}/metrics")
        time.sleep(0.1)


@pytest.mark.slow
def test_sigterm_lets_the_running_sync_end_and_leaves_nothing(
    started: tuple[subprocess.Popen[str], str], tmp_path: Path
) -> None:
    program, url = started
    wait_for(url, "m2g_sync_running 1")
    program.send_signal(signal.SIGTERM)
    text, _ = program.communicate(timeout=seconds(120))
    assert program.returncode == 0
    assert "webhooks: gitea\n" in text
    assert "\nmain: nothing to do" in text, text
    assert text.endswith("m2g serve: stopped\n")
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.slow
def test_a_signed_event_wakes_the_program(started: tuple[subprocess.Popen[str], str]) -> None:
    program, url = started
    wait_for(url, 'm2g_syncs_total{result="done"} 1')
    answer = httpx.post(f"{url}/webhooks/gitea", content=BODY, headers=sign_forge("gitea"), trust_env=False)
    assert answer.status_code == 202
    wait_for(url, 'm2g_syncs_total{result="done"} 2')
    program.send_signal(signal.SIGTERM)
    assert program.wait(seconds(60)) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--listen", "8080"], "'8080' is no address to listen on"),
        (["--listen", "127.0.0.1:99999"], "is no address to listen on"),
        (["--listen", "203.0.113.1:80"], "m2g cannot listen on 203.0.113.1:80"),
        (["--interval", "often"], "'often' is not a time between two runs"),
        (["--path", "a"], "--path is a folder in --repository"),
        (["--repository", "https://me:secret-of-mine-1@git.example.com/a"], "holds a password"),
    ],
)
def test_wrong_options_are_said(clone: Path, arguments: list[str], message: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "m2g", "serve", *arguments], cwd=clone, capture_output=True, text=True, check=False
    )
    assert done.returncode in (2, 3)
    assert message in done.stderr
    assert "secret-of-mine" not in done.stderr
