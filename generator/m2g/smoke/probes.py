"""What is asked inside the model's environment: pyfunc, and the server by gRPC; in processes that end with us."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from m2g.core import process
from m2g.core.model import Value
from m2g.smoke.compare import Column, Json, columns
from m2g.smoke.environment import Environment
from m2g.smoke.server import NotReady, Plan, last_words, quiet

_SCRIPT = Path(__file__).with_name("worker.py")
_MOST = 64 << 20


class _Said(msgspec.Struct):
    """What inside.py writes; the parts that a model made stay text until they are asked for."""

    columns: msgspec.Raw = msgspec.Raw(b"null")
    answer: msgspec.Raw = msgspec.Raw(b"null")
    problem: str = ""
    seconds: tuple[float, ...] = ()


class Grpc(Value, frozen=True, kw_only=True):
    """The first answer, as REST would say it, or the problem; and the seconds of each further one."""

    answer: Json = None
    problem: str = ""
    seconds: tuple[float, ...] = ()


class Addressed(Value, frozen=True, kw_only=True):
    """A gRPC server, and how often it is asked after the first time."""

    address: str
    times: int


def pyfunc(plan: Plan, environment: Environment, place: Path, body: str) -> list[Column]:
    """What mlflow.pyfunc says to the body. Raises NotReady where it fails."""
    said = _run(plan, environment, place, ["predict", body, str(plan.folder)])
    return columns(json.loads(bytes(said.columns)))


def grpc(plan: Plan, environment: Environment, place: Path, body: str, to: Addressed) -> Grpc:
    """The same question, as often as `to` says."""
    rest = [to.address, plan.slug, str(to.times), str(plan.seconds)]
    said = _run(plan, environment, place, ["grpc", body, *rest])
    return Grpc(answer=json.loads(bytes(said.answer)), problem=said.problem, seconds=said.seconds)


def _run(plan: Plan, environment: Environment, place: Path, arguments: list[str]) -> _Said:
    what, body, *rest = arguments
    question, answer, log = (place / f"{what}.{part}" for part in ("question", "answer", "log"))
    question.write_text(body, encoding="utf-8")
    command = [str(environment.python), str(_SCRIPT), what, str(question), str(answer), *rest]
    with process.start(command, cwd=place / "empty", log=log, environment=quiet(plan, place), remove=place) as running:
        code = running.poll(plan.seconds)
    name = {"predict": "mlflow.pyfunc", "grpc": "the gRPC client"}[what]
    if code is None:
        raise NotReady(f"{plan.model}: {name} did not answer within {plan.seconds:g} s", hint="--timeout SECONDS")
    if code or not answer.is_file() or answer.stat().st_size > _MOST:
        hint = "try it yourself: mlflow.pyfunc.load_model(…).predict(…) in the model's environment"
        raise NotReady(f"{plan.model}: {name} fails on the request{last_words(log)}", hint=hint)
    return msgspec.json.decode(answer.read_bytes(), type=_Said)
