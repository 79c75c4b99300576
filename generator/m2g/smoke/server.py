"""Start the real servers as their images do, on the loopback address: MLServer and MLflow's scoring server."""

from __future__ import annotations

import contextlib
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from m2g.core import process
from m2g.core.errors import Exit, InputError, M2gError
from m2g.core.model import Value
from m2g.core.redact import redact
from m2g.core.sanitize import make_visible
from m2g.smoke.program import Plan, Program, find_log, make_task

HOST = "127.0.0.1"
NAME = "server"
_MLSERVER = "import sys; from mlserver.cli import main; sys.argv[0] = 'mlserver'; main()"
_NOISE = re.compile(r"INFO|DEBUG|^\s*[\^~]+\s*$|FutureWarning|UserWarning|^\s*warnings\.warn")
_LINES, _WIDTH = 12, 300


class NotReady(M2gError):
    """The model does not serve. This is a result of the test (exit code 1), not a failure of the test."""

    exit_code = Exit.NO


class Server(Value, frozen=True, kw_only=True):
    """A server that is ready. `grpc` is empty if it has no gRPC; `started` is how many seconds it took.

    `is_alive` says whether it still runs.
    """

    url: str
    port: int
    grpc: str = ""
    started: float = 0.0
    is_alive: Callable[[], bool]


@contextlib.contextmanager
def serve(plan: Plan, is_ready: Callable[[str], bool]) -> Iterator[Server]:
    """Start the server, wait until `is_ready` accepts its readiness URL, and stop it at the end of the block.

    Raises InputError if the port is in use, NotReady if it does not become ready.
    """
    ports = _find_ports(plan.port)
    command, variables, ready = _mlserver(plan, ports) if plan.profile != "mlflow-image" else _scoring(plan, ports)
    log = find_log(plan, NAME)
    url = f"http://{HOST}:{ports[0]}"
    began = time.monotonic()
    program = Program(name=NAME, arguments=tuple(command), variables=variables)
    with process.start(make_task(program, plan)) as running:
        while not is_ready(f"{url}{ready}"):
            code = running.poll(0.2)
            if code is not None:
                raise _stopped(plan, code, log)
            if time.monotonic() - began > plan.seconds:
                raise _timed_out(plan, ready, log)
        if running.poll() is not None:  # then another program answers at this port
            raise _stopped(plan, running.poll() or 0, log)
        grpc = f"{HOST}:{ports[1]}" if plan.profile != "mlflow-image" else ""
        yield Server(
            url=url,
            port=ports[0],
            grpc=grpc,
            started=round(time.monotonic() - began, 2),
            is_alive=lambda: running.poll() is None,
        )


def _mlserver(plan: Plan, ports: list[int]) -> tuple[list[str], dict[str, str], str]:
    """As in KServe's runtime: all settings are environment variables, and the directory has no settings.json."""
    variables = {
        "MLSERVER_HOST": HOST,
        "MLSERVER_HTTP_PORT": str(ports[0]),
        "MLSERVER_GRPC_PORT": str(ports[1]),
        "MLSERVER_METRICS_PORT": str(ports[2]),
        "MLSERVER_PARALLEL_WORKERS": "0",
        "MLSERVER_DEBUG": "false",
        "MLSERVER_MODEL_IMPLEMENTATION": "mlserver_mlflow.MLflowRuntime",
        "MLSERVER_MODEL_NAME": plan.slug,
        **({"MLSERVER_MODEL_VERSION": plan.version} if plan.version else {}),
        "MLSERVER_MODEL_URI": str(plan.folder),
    }
    return ["-c", _MLSERVER, "start", "."], variables, f"/v2/models/{plan.slug}/ready"


def _scoring(plan: Plan, ports: list[int]) -> tuple[list[str], dict[str, str], str]:
    """As in MLflow's own image."""
    variables = {"__pyfunc_model_path__": str(plan.folder), "MLFLOW_MODELS_WORKERS": "1"}
    command = ["-m", "uvicorn", "--host", HOST, "--port", str(ports[0]), "mlflow.pyfunc.scoring_server.app:app"]
    return command, variables, "/ping"


def _find_ports(first: int) -> list[int]:
    """Three free ports; `first` is the one of --port, or 0. Raises InputError if that one is in use."""
    with contextlib.ExitStack() as stack:
        ports = []
        for port in (first, 0, 0):
            one = stack.enter_context(socket.socket())
            try:
                one.bind((HOST, port))
            except OSError as error:
                hint = "stop the program that uses it, name another port, or remove --port: m2g finds a free one"
                raise InputError(f"port {port} cannot be used: {error.strerror}", hint=hint) from error
            ports.append(int(one.getsockname()[1]))
    return ports


def _stopped(plan: Plan, code: int, log: Path) -> NotReady:
    how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
    return NotReady(
        f"{_name(plan)} does not load: its server stopped {how} before it was ready{read_last_lines(log)}",
        hint="keep the whole log with --keep-logs DIR; check whether the model's code needs files, packages or "
        "environment variables (--pass-env NAME) that are missing here",
    )


def _timed_out(plan: Plan, ready: str, log: Path) -> NotReady:
    return NotReady(
        f"{_name(plan)} was not ready within {plan.seconds:g} s: {ready} never answered 200{read_last_lines(log)}",
        hint="give a large model more time: --timeout SECONDS",
    )


def _name(plan: Plan) -> str:
    return f"{plan.model} version {plan.version}" if plan.version else plan.model


def read_last_lines(log: Path) -> str:
    """The last lines of a log without noise and passwords, at most twelve, each indented on a line of its own."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - (64 << 10)))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    lines = [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines() if line.strip()]
    useful = [line for line in lines if not _NOISE.search(line)] or lines
    return "".join(f"\n    {make_visible(redact(line), _WIDTH)}" for line in useful[-_LINES:])
