"""A real MLServer with every model of signature_zoo.py, and MLflow's scoring server of each; all end together."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx

from tests.support.machine import seconds
from tests.support.paths import ROOT

BIN = ROOT / ".venv-mlserver/bin"
ZOO = Path(__file__).with_name("signature_zoo.py")
HOST = "127.0.0.1"
_CLIENT = httpx.Client(  # a new one costs 50 ms; a connection is not used again: MLServer resets it after an error
    headers={"Content-Type": "application/json"}, timeout=seconds(60), limits=httpx.Limits(max_keepalive_connections=0)
)


def ports(count: int) -> list[int]:
    """Free ones; all are held until the last is known."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((HOST, 0))
        return [int(one.getsockname()[1]) for one in sockets]


@contextlib.contextmanager
def running(command: Sequence[str], place: Path, ready: str) -> Iterator[None]:
    """A server that answers 200 at `ready`. Fails with its last words where it ends before, or never gets there."""
    log = place / f"{Path(command[1]).stem}.log"
    environment = {**os.environ, "MLSERVER_DEBUG": "false", "PATH": f"{BIN}:/usr/bin:/bin"}
    environment["MLFLOW_TRACKING_URI"] = (
        f"sqlite:///{log.with_suffix('.db')}"  # for traces of agents; of this server alone
    )
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=place, env=environment, stdout=out, stderr=out, start_new_session=True)
    try:
        deadline = time.monotonic() + seconds(90)
        while not _answers(ready):
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{command} is not ready:\n{log.read_text()[-3000:]}")
            time.sleep(0.2)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(url: str) -> bool:
    try:
        return _CLIENT.get(url, timeout=seconds(5)).status_code == 200
    except httpx.HTTPError:
        return False


@contextlib.contextmanager
def mlserver(folder: Path) -> Iterator[str]:
    """Its URL; it has loaded none of the models, so that one that cannot be loaded harms no other."""
    http, grpc, metrics = ports(3)
    settings = {"host": HOST, "http_port": http, "grpc_port": grpc, "metrics_port": metrics}
    settings |= {"parallel_workers": 0, "load_models_at_startup": False, "debug": False}
    (folder / "settings.json").write_text(json.dumps(settings))
    url = f"http://{HOST}:{http}"
    with running([str(BIN / "python"), str(BIN / "mlserver"), "start", "."], folder, f"{url}/v2/health/live"):
        yield url


@contextlib.contextmanager
def scoring(folder: Path) -> Iterator[str]:
    """The URL of MLflow's scoring servers, under which each model has its own."""
    (port,) = ports(1)
    url = f"http://{HOST}:{port}"
    command = [str(BIN / "python"), str(ZOO), "serve", str(folder), str(port)]
    with running(command, folder, f"{url}/wine/ping"):
        yield url


def post(url: str, body: str, log: Path | None = None) -> tuple[int, object]:
    """Status and answer; text where the answer is no JSON. Fails with the last words of `log` where there is none."""
    try:
        answer = _CLIENT.post(url, content=body)
    except httpx.HTTPError as error:
        raise AssertionError(f"{url}: {error!r}\n{log.read_text()[-9000:] if log else ''}") from error
    try:
        return answer.status_code, json.loads(answer.text)
    except ValueError:
        return answer.status_code, answer.text
