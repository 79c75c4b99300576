"""The real servers, started here as their images start them: MLServer, MLflow's scoring server; on the loopback."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from m2g.core import process, tempdirs
from m2g.core.errors import Exit, InputError, M2gError
from m2g.core.model import Value
from m2g.core.sanitize import hide_passwords, make_visible
from m2g.smoke.environment import Environment

HOST = "127.0.0.1"
_PASSED = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR")
"""What a server gets of m2g's own environment: tokens and passwords are none of a model's business."""
_MLSERVER = "import sys; from mlserver.cli import main; sys.argv[0] = 'mlserver'; main()"
_NOISE = re.compile(r"INFO|DEBUG|^\s*[\^~]+\s*$|FutureWarning|UserWarning|^\s*warnings\.warn")
_LINES, _WIDTH = 12, 300


class Plan(Value, frozen=True, kw_only=True):
    """What is to be served. `variables` are the setting `env`; `passed` names more that the model gets of m2g's own."""

    model: str
    slug: str
    version: str
    profile: str
    folder: Path
    variables: Mapping[str, str] = {}
    passed: tuple[str, ...] = ()
    port: int = 0
    seconds: float = 120.0


class NotReady(M2gError):
    """The model does not serve: that is the answer to the question, not a failure to ask it."""

    exit_code = Exit.NO


class Server(Value, frozen=True, kw_only=True):
    """A server that is ready. `grpc` is empty where it has none; `started` is in seconds."""

    url: str
    grpc: str = ""
    started: float = 0.0


def quiet(plan: Plan, home: Path) -> dict[str, str]:
    """The environment of everything that runs the model's code."""
    kept = {name: os.environ[name] for name in (*_PASSED, *plan.passed) if name in os.environ}
    return kept | {"HOME": str(home), "PYTHONUNBUFFERED": "1", "MLFLOW_DISABLE_TELEMETRY": "true", **plan.variables}


@contextlib.contextmanager
def serving(plan: Plan, environment: Environment, place: Path, asked: Callable[[str], bool]) -> Iterator[Server]:
    """The server, from the moment its readiness path answers until the end of the block; `asked` tells whether.

    Its log is `place`/server.log. Raises InputError for a port that is taken, NotReady where it never gets ready.
    """
    ports = _ports(plan.port)
    command, variables, ready = _mlserver(plan, ports) if plan.profile != "mlflow-image" else _scoring(plan, ports)
    log = place / "server.log"
    url = f"http://{HOST}:{ports[0]}"
    began = time.monotonic()
    with process.start(
        [str(environment.python), *command],
        cwd=place / "empty",
        log=log,
        environment=quiet(plan, place) | variables,
        remove=place,
    ) as running:
        while not asked(f"{url}{ready}"):
            code = running.poll(0.2)
            if code is not None:
                raise _ended(plan, code, log)
            if time.monotonic() - began > plan.seconds:
                raise _slow(plan, ready, log)
        if running.poll() is not None:  # then somebody else answers at this port
            raise _ended(plan, running.poll() or 0, log)
        grpc = f"{HOST}:{ports[1]}" if plan.profile != "mlflow-image" else ""
        yield Server(url=url, grpc=grpc, started=round(time.monotonic() - began, 2))


def _mlserver(plan: Plan, ports: list[int]) -> tuple[list[str], dict[str, str], str]:
    """As KServe wires its runtime: everything by environment, in a folder without settings.json."""
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
    """The application that MLflow's own image starts."""
    variables = {"__pyfunc_model_path__": str(plan.folder), "MLFLOW_MODELS_WORKERS": "1"}
    command = ["-m", "uvicorn", "--host", HOST, "--port", str(ports[0]), "mlflow.pyfunc.scoring_server.app:app"]
    return command, variables, "/ping"


def _ports(first: int) -> list[int]:
    """Three free ports; `first` is a person's wish. Raises InputError where it is taken."""
    with contextlib.ExitStack() as stack:
        found = []
        for wish in (first, 0, 0):
            one = stack.enter_context(socket.socket())
            try:
                one.bind((HOST, wish))
            except OSError as error:
                hint = "end what listens there, name another port, or leave --port out: then a free one is taken"
                raise InputError(f"port {wish} cannot be used: {error.strerror}", hint=hint) from error
            found.append(int(one.getsockname()[1]))
    return found


def _ended(plan: Plan, code: int, log: Path) -> NotReady:
    how = f"by signal {-code}" if code < 0 else f"with {code}"
    return NotReady(
        f"{_named(plan)} does not load: its server ended {how} before it was ready{last_words(log)}",
        hint="`m2g smoke --keep-logs DIR` keeps the whole log; does the model's code need files, packages or variables "
        "(--pass-env) that it does not bring?",
    )


def _slow(plan: Plan, ready: str, log: Path) -> NotReady:
    return NotReady(
        f"{_named(plan)} was not ready within {plan.seconds:g} s: {ready} never answered 200{last_words(log)}",
        hint="a large model may need more: --timeout SECONDS",
    )


def _named(plan: Plan) -> str:
    return f"{plan.model} version {plan.version}" if plan.version else plan.model


def last_words(log: Path) -> str:
    """The last lines of a log that say something, each on a line of its own; bounded, without passwords."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - (64 << 10)))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    lines = [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines() if line.strip()]
    told = [line for line in lines if not _NOISE.search(line)] or lines
    return "".join(f"\n    {make_visible(hide_passwords(line), _WIDTH)}" for line in told[-_LINES:])


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """A folder for the time of one smoke test; programs run in its `empty`, where nothing of anybody's lies."""
    with tempdirs.open_folder("m2g-smoke-") as place:
        (place / "empty").mkdir()
        yield place
