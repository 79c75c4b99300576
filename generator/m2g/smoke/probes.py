"""Programs in the model's environment: pyfunc, and the gRPC client. They end when m2g ends."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import msgspec

from m2g.core import process
from m2g.core.model import Value
from m2g.smoke.compare import Column, Json, to_columns
from m2g.smoke.program import Plan, Program, find_log, make_task
from m2g.smoke.server import NotReady, read_last_lines

_SCRIPT = Path(__file__).with_name("worker.py")
_MAX_BYTES = 64 << 20
_NAMES = {"predict": "mlflow.pyfunc", "batch": "mlflow.pyfunc", "grpc": "the gRPC client"}


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


def run_pyfunc(plan: Plan, body: str) -> list[Column]:
    """The prediction of mlflow.pyfunc. Raises NotReady if it fails."""
    answer = _run(plan, "predict", body, (str(plan.folder),))
    return to_columns(_decode(plan, "predict", answer.columns))


def run_batch(plan: Plan, rows: Path, form: str, wanted: str) -> bytes:
    """The prediction of mlflow.pyfunc for a file, at most 64 MiB; both forms are csv or json.

    Raises NotReady if it fails, or if the answer is longer.
    """
    answer = _run_program(plan, "batch", rows, (str(plan.folder), form, wanted))
    try:
        content = _read(answer)
    except OSError as error:
        raise _failed(plan, "batch") from error
    if not content:
        hint = "split the input into several files"
        raise NotReady(f"{plan.model} wrote no predictions, or more than {_MAX_BYTES >> 20} MiB", hint=hint)
    return content


def run_grpc(plan: Plan, body: str, to: GrpcTarget) -> GrpcAnswers:
    """Send the same request again and again, as often as `to` says."""
    answer = _run(plan, "grpc", body, (to.address, plan.slug, str(to.times), str(plan.seconds)))
    return GrpcAnswers(answer=_decode(plan, "grpc", answer.answer), problem=answer.problem, seconds=answer.seconds)


def _run(plan: Plan, what: str, body: str, arguments: tuple[str, ...]) -> _Answer:
    request = plan.workspace / f"{what}.request"
    request.write_text(body, encoding="utf-8")
    answer = _run_program(plan, what, request, arguments)
    try:
        return msgspec.json.decode(_read(answer), type=_Answer)
    except (OSError, msgspec.MsgspecError, RecursionError) as error:
        raise _failed(plan, what) from error


def _run_program(plan: Plan, what: str, request: Path, arguments: tuple[str, ...]) -> Path:
    """Run a command of worker.py to its end, and return the file that it wrote."""
    answer = plan.workspace / f"{what}.answer"
    answer.touch()
    program = Program(
        name=what,
        arguments=(str(_SCRIPT), what, str(request), str(answer), *arguments),
        read=(_SCRIPT, request),
        write=(answer,),
    )
    with process.start(make_task(program, plan)) as running:
        code = running.poll(plan.seconds)
    if code is None:
        hint = "wait longer: --timeout SECONDS"
        raise NotReady(f"{plan.model}: {_NAMES[what]} did not answer within {plan.seconds:g} s", hint=hint)
    if code:
        raise _failed(plan, what)
    return answer


def _read(path: Path) -> bytes:
    """The content of a file that a model's code may have replaced: not that of another file, and not endless."""
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return b""
        content = file.read(_MAX_BYTES + 1)
    return content if len(content) <= _MAX_BYTES else b""


def _decode(plan: Plan, what: str, part: msgspec.Raw) -> Json:
    try:
        decoded: Json = json.loads(bytes(part))
    except (ValueError, RecursionError) as error:
        raise _failed(plan, what) from error
    return decoded


def _failed(plan: Plan, what: str) -> NotReady:
    hint = "try it in the model's environment: mlflow.pyfunc.load_model(…).predict(…)"
    lines = read_last_lines(find_log(plan, what))
    return NotReady(f"{plan.model}: {_NAMES[what]} fails on the request{lines}", hint=hint)
