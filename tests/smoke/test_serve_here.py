"""`m2g smoke --serve`: a version stays up behind its walls, and clients on this machine reach it until Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from m2g.inference.forms import make_csv
from tests.support.machine import seconds, whole_seconds
from tests.support.smoke_rows import ROWS
from tests.support.smoke_runs import SERVERS, models, smoke, started_by

pytestmark = pytest.mark.slow
OURS = ("--timeout", whole_seconds(120), "--venv", str(SERVERS), "--requests", "1", "--rest-only", "--serve")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models(tmp_path_factory.mktemp("models"), "wine")


@pytest.fixture
def served(saved: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The running command, and the address that it prints."""
    command = ["m2g", "smoke", "--model-dir", str(saved / "wine"), "--profile", request.param, *OURS]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as process:
        assert process.stderr is not None
        lines: list[str] = []
        while not (found := re.search(r"answers at (http://[^ ]+) \(equals pyfunc\)", lines[-1] if lines else "")):
            lines.append(process.stderr.readline())
            assert lines[-1], "".join(lines)
        yield process, found[1]
        process.kill()


@pytest.mark.parametrize("served", ["mlserver-image", "mlflow-image"], indirect=True)
def test_the_endpoints_of_mlflow_answer_until_ctrl_c(served: tuple[subprocess.Popen[str], str], tmp_path: Path) -> None:
    process, url = served
    with httpx.Client(base_url=url, timeout=seconds(30), trust_env=False) as client:
        assert [client.get(path).status_code for path in ("/ping", "/health", "/version")] == [200, 200, 200]
        by_json = client.post("/invocations", json={"dataframe_split": ROWS})
        by_csv = client.post(
            "/invocations",
            content=make_csv(json.dumps({"dataframe_split": ROWS})),
            headers={"Content-Type": "text/csv"},
        )
        assert by_json.status_code == 200, by_json.text
        assert by_csv.json() == by_json.json()
        assert len(by_json.json()["predictions"]) == 2
    process.send_signal(signal.SIGINT)
    shown, _ = process.communicate(timeout=seconds(60))
    assert process.returncode == 0
    assert "1 of 1 equal to pyfunc" in shown
    assert not started_by(tmp_path)
    assert not list(tmp_path.glob("m2g-*"))


def test_a_port_in_use_is_said_before_anything_starts(saved: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = smoke("--model-dir", str(saved / "wine"), *OURS, "--port", port)
    assert done.returncode == 2
    assert f"port {port} cannot be used: Address already in use" in done.stderr


def test_a_deployed_endpoint_is_not_served_here(saved: Path) -> None:
    done = smoke("--model-dir", str(saved / "wine"), *OURS, "--url", "http://127.0.0.1:1")
    assert done.returncode == 2
    assert "--serve excludes --url" in done.stderr
