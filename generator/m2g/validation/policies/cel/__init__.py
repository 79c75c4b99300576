"""The one door to the CEL library: it works in a process of its own, with bounds on time and memory.

The library is compiled code: an endless expression could not be stopped in this process, and some input makes it end
the process (a chain of 20,000 operators overflows its stack). docs/decisions tells why this library.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Sequence

import msgspec

from m2g.core import process
from m2g.core.errors import OutsideError
from m2g.validation.policies.cel_types import MAX_LENGTH, Answer, Ending, Question, Variables

__all__ = ["evaluate"]

_COMMAND = (sys.executable, "-P", "-m", "m2g.validation.policies.cel.worker")
_ENVIRONMENT = {"RUST_BACKTRACE": "0"}
_SECONDS = 300.0
_BATCH = 20_000
_DEATHS = 10
"""How often one run may break the library before it stops to try."""

_DECODER = msgspec.json.Decoder(Answer)


def evaluate(scopes: Sequence[Variables], questions: Sequence[Question]) -> list[Answer]:
    """An answer for each question, in order; nothing that an expression does raises or takes this process along.

    Raises OutsideError where the worker cannot be started, or the library is not installed.
    """
    answers: list[Answer | None] = [_refused(question) for question in questions]
    broken: dict[str, Answer] = {}
    while True:
        for index, question in enumerate(questions):
            if answers[index] is None and question.expression in broken:
                answers[index] = broken[question.expression]
        waiting = sorted(
            (index for index, answer in enumerate(answers) if answer is None), key=lambda index: questions[index].scope
        )[:_BATCH]
        if not waiting:
            return [answer for answer in answers if answer is not None]
        if len(broken) >= _DEATHS:
            problem = f"was not tried: {_DEATHS} other expressions broke the CEL library"
            broken |= {questions[index].expression: _limit(problem) for index in waiting}
            continue
        found, death = _ask(scopes, [questions[index] for index in waiting])
        for index, answer in zip(waiting, found, strict=False):
            answers[index] = answer
        if len(found) < len(waiting):
            broken[questions[waiting[len(found)]].expression] = _limit(death)


def _refused(question: Question) -> Answer | None:
    if len(question.expression) > MAX_LENGTH:
        return _limit(f"is longer than {MAX_LENGTH} characters")
    return None


def _ask(scopes: Sequence[Variables], questions: Sequence[Question]) -> tuple[list[Answer], str]:
    """The answers until the worker ended, and why it ended early."""
    used = sorted({question.scope for question in questions if question.scope >= 0})
    place = {scope: index for index, scope in enumerate(used)} | {-1: -1}
    request = {
        "scopes": [scopes[scope] for scope in used],
        "questions": [[place[question.scope], question.expression, question.wanted] for question in questions],
    }
    ran = process.run(
        _COMMAND, stdin=json.dumps(request, default=str).encode(), timeout=_SECONDS, environment=_ENVIRONMENT
    )
    lines = ran.stdout.split(b"\n")[:-1]
    if not lines:  # the first says that the library is there
        raise OutsideError(f"CEL cannot be evaluated: {ran.stderr[-300:]}", hint="install m2g again")
    return [_DECODER.decode(line) for line in lines[1:]], _death(ran.code)


def _death(code: int) -> str:
    if code == -signal.SIGPROF:
        return "needs more than a second of processor time"
    if code == -signal.SIGABRT:
        return "needs more memory than is allowed"
    return "makes the CEL library fail"


def _limit(problem: str) -> Answer:
    return Answer(ending=Ending.LIMIT, problem=problem)
