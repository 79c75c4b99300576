"""Programs in the model's environment: pyfunc, and the gRPC client. They end when m2g ends."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from m2g.core import process
from m2g.core.model import Value
from m2g.smoke.compare import Column, Json, to_columns
from m2g.smoke.environment import Environment
from m2g.smoke.server import NotReady, Plan, model_environment, read_last_lines

_SCRIPT = Path(__file__).with_name("worker.py")
_MAX_BYTES = 64 << 20


class _Answer(msgspec.Struct):
    """What worker.py writes. The parts that come from a model are decoded only when they are needed."""

    columns: msgspec.Raw = msgspec.Raw(b"null")
    answer: msgspec.Raw = msgspec.Raw(b"null")
    problem: str = ""
    seconds: tuple[float, ...] = ()


class GrpcAnswers(Value, frozen=True, kw_only=True):
    """The first answer in the form of REST, or the problem; and the seconds that each further request took."""

    answer: Json = None
    problem: str = ""
    seconds: tuple[float, ...] = ()


class GrpcTarget(Value, frozen=True, kw_only=True):
    """A gRPC server, and how many requests to send after the first one."""

    address: str
    times: int


def run_pyfunc(plan: Plan, environment: Environment, workspace: Path, body: str) -> list[Column]:
    """The prediction of mlflow.pyfunc. Raises NotReady if it fails."""
    answer = _run(plan, environment, workspace, ["predict", body, str(plan.folder)])
    return to_columns(json.loads(bytes(answer.columns)))


def run_grpc(plan: Plan, environment: Environment, workspace: Path, body: str, to: GrpcTarget) -> GrpcAnswers:
    """Send the same request again and again, as often as `to` says."""
    rest = [to.address, plan.slug, str(to.times), str(plan.seconds)]
    answer = _run(plan, environment, workspace, ["grpc", body, *rest])
    return GrpcAnswers(answer=json.loads(bytes(answer.answer)), problem=answer.problem, seconds=answer.seconds)


def _run(plan: Plan, environment: Environment, workspace: Path, arguments: list[str]) -> _Answer:
    what, body, *rest = arguments
    request, answer, log = (workspace / f"{what}.{part}" for part in ("request", "answer", "log"))
    request.write_text(body, encoding="utf-8")
    command = [str(environment.python), str(_SCRIPT), what, str(request), str(answer), *rest]
    variables = model_environment(plan, workspace)
    with process.start(command, cwd=workspace / "empty", log=log, environment=variables, remove=workspace) as running:
        code = running.poll(plan.seconds)
    name = {"predict": "mlflow.pyfunc", "grpc": "the gRPC client"}[what]
    if code is None:
        hint = "wait longer: --timeout SECONDS"
        raise NotReady(f"{plan.model}: {name} did not answer within {plan.seconds:g} s", hint=hint)
    if code or not answer.is_file() or answer.stat().st_size > _MAX_BYTES:
        hint = "try it in the model's environment: mlflow.pyfunc.load_model(…).predict(…)"
        raise NotReady(f"{plan.model}: {name} fails on the request{read_last_lines(log)}", hint=hint)
    return msgspec.json.decode(answer.read_bytes(), type=_Answer)
