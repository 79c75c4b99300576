"""`m2g smoke` with the real servers of .venv-mlserver: what it says of each kind of model, and what it leaves."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.machine import seconds, whole_seconds
from tests.support.smoke_runs import SERVERS, WITHOUT_NAMESPACES, models, smoke, started_by

pytestmark = pytest.mark.slow
OURS = ("--timeout", whole_seconds(120), "--venv", str(SERVERS), "--requests", "3", "--format", "json")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models(tmp_path_factory.mktemp("models"))


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Neither a process nor a folder; TMPDIR is what tells whose they are."""
    place = tmp_path / "tmp"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    yield
    deadline = time.monotonic() + seconds(10)
    while (left := started_by(place)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left
    assert not list(place.glob("m2g-*"))


def outcome(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(done.stdout)["tests"][0]
    return answer


@pytest.mark.parametrize(
    ("model", "profile", "ways"),
    [
        ("wine", "mlserver-image", ["rest", "grpc"]),
        ("booster", "mlserver", ["rest", "grpc"]),
        ("words", "mlserver-image", ["rest", "grpc"]),
        ("words", "mlflow-image", ["rest"]),
    ],
)
def test_a_real_server_says_what_pyfunc_says(saved: Path, model: str, profile: str, ways: Sequence[str]) -> None:
    done = smoke("--model-dir", str(saved / model), "--profile", profile, *OURS)
    found = outcome(done)
    assert done.returncode == 0, done.stdout + done.stderr
    assert found["passed"]
    assert [(way["way"], way["answer"], way["requests"]) for way in found["asked"]] == [(w, "equal", 3) for w in ways]
    assert all(0 < way["p50"] <= way["p90"] <= way["p99"] <= way["longest"] for way in found["asked"])


def test_params_and_nan_over_rest_and_what_mlserver_cannot_say_over_grpc(saved: Path) -> None:
    done = smoke("--model-dir", str(saved / "scaled"), *OURS)
    rest, grpc = outcome(done)["asked"]
    assert rest["answer"] == "equal"
    assert grpc["answer"] == "failed"  # MLServer 1.7.1 makes None of NaN, for which protobuf has no place
    assert "NoneType" in grpc["problems"][0]
    assert done.returncode == 1


def test_a_parameter_that_grpc_does_not_carry_is_said_and_rest_decides(saved: Path) -> None:
    done = smoke("--model-dir", str(saved / "halved"), *OURS)
    found = outcome(done)
    assert [asked["way"] for asked in found["asked"]] == ["rest"]
    assert "not tested by gRPC, which cannot carry the parameter factor" in found["notes"]
    assert done.returncode == 0


def test_a_model_that_crashes_on_load_is_told_by_the_servers_last_words(saved: Path, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    done = smoke("--model-dir", str(saved / "broken"), "--keep-logs", str(logs), *OURS[:-2])
    assert done.returncode == 1
    assert "broken does not load" in done.stdout
    assert "FileNotFoundError: the lookup table https://REDACTED@example.com/table is not here" in done.stdout
    assert "secret" not in done.stdout
    assert len(done.stdout.splitlines()) < 20
    assert "lookup table" in (logs / "broken/server.log").read_text()


def test_a_server_that_never_gets_ready_is_stopped(saved: Path) -> None:
    patience = whole_seconds(6)
    done = smoke("--model-dir", str(saved / "slow"), *OURS, "--timeout", patience)
    found = outcome(done)
    assert done.returncode == 1
    assert f"slow was not ready within {patience} s: /v2/models/slow/ready never answered 200" in found["problem"]
    assert "--timeout" in found["hint"]


def test_a_port_in_use_is_said_before_anything_starts(saved: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = smoke("--model-dir", str(saved / "wine"), "--port", port, *OURS, under=WITHOUT_NAMESPACES)
        assert done.returncode == 2
        assert outcome(done)["problem"] == f"port {port} cannot be used: Address already in use"
        done = smoke("--model-dir", str(saved / "wine"), "--port", port, *OURS)
        assert done.returncode == 0, "behind walls, the model has ports of its own"
        assert outcome(done)["url"] == f"http://127.0.0.1:{port}"


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_an_interrupt_ends_all_that_was_started(saved: Path, tmp_path: Path, how: signal.Signals, code: int) -> None:
    command = ["m2g", "smoke", "--model-dir", str(saved / "slow"), *OURS]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + seconds(60)
    while not list(tmp_path.glob("tmp/m2g-smoke-*/0/server.log")) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1)
    process.send_signal(how)
    _, talk = process.communicate(timeout=seconds(30))
    assert process.returncode == code, talk


def test_requirements_that_cannot_be_installed_are_named(saved: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    done = smoke("--model-dir", str(saved / "wine"), cache=cache)
    assert done.returncode == 2
    assert "the requirement " in done.stdout
    assert "of wine cannot be installed" in done.stdout
    assert "--venv PATH" in done.stdout
    assert [path.suffix for path in (cache / "environments").iterdir()] == [".lock"]


def test_no_room_for_an_environment_is_said(saved: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    limit = 100_000  # bytes a file: the disk is as good as full

    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = smoke("--model-dir", str(saved / "wine"), cache=cache, before=small)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "M2G_CACHE_DIR" in done.stdout
    assert "wine" in done.stdout
    assert [path.suffix for path in (cache / "environments").iterdir()] == [".lock"]


def test_a_folder_that_is_no_environment_and_one_that_is_no_model(saved: Path, tmp_path: Path) -> None:
    done = smoke("--model-dir", str(saved / "wine"), "--venv", str(tmp_path))
    assert done.returncode == 2
    assert "has no bin/python" in done.stdout
    done = smoke("--model-dir", str(tmp_path))
    assert done.returncode == 2
    assert "has no MLmodel" in done.stderr
    assert os.listdir(tmp_path) == ["tmp"]
