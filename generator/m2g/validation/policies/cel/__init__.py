"""Evaluate CEL expressions in a separate process, with limits on time and memory.

The library is compiled code: this process could not stop an endless expression, and some input crashes the process
(a chain of 20,000 operators overflows its stack). docs/decisions explains the choice of the library.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Sequence

import msgspec

from m2g.core import process
from m2g.core.errors import OutsideError
from m2g.core.process.environment import clean_environment
from m2g.validation.policies.cel_types import MAX_LENGTH, Evaluation, EvaluationResult, Status, Variables

__all__ = ["evaluate"]

_COMMAND = (sys.executable, "-P", "-m", "m2g.validation.policies.cel.worker")
_ENVIRONMENT = {"RUST_BACKTRACE": "0"}
_SECONDS = 300.0
_BATCH = 20_000
_MAX_CRASHES = 10
"""How many expressions may crash the worker before the rest is not evaluated."""

_DECODER = msgspec.json.Decoder(EvaluationResult)


def evaluate(scopes: Sequence[Variables], evaluations: Sequence[Evaluation]) -> list[EvaluationResult]:
    """The result of each evaluation, in order. An expression can neither raise an error here nor crash this process.

    Raises OutsideError if the worker cannot be started, or the library is not installed.
    """
    results: list[EvaluationResult | None] = [_check_length(evaluation) for evaluation in evaluations]
    crashed: dict[str, EvaluationResult] = {}
    while True:
        for index, evaluation in enumerate(evaluations):
            if results[index] is None and evaluation.expression in crashed:
                results[index] = crashed[evaluation.expression]
        waiting = sorted(
            (index for index, result in enumerate(results) if result is None),
            key=lambda index: evaluations[index].scope,
        )[:_BATCH]
        if not waiting:
            return [result for result in results if result is not None]
        if len(crashed) >= _MAX_CRASHES:
            problem = f"the expression was not evaluated, because {_MAX_CRASHES} others crashed the CEL library"
            crashed |= {evaluations[index].expression: _limit(problem) for index in waiting}
            continue
        batch, cause = _run_worker(scopes, [evaluations[index] for index in waiting])
        for index, result in zip(waiting, batch, strict=False):
            results[index] = result
        if len(batch) < len(waiting):
            crashed[evaluations[waiting[len(batch)]].expression] = _limit(cause)


def _check_length(evaluation: Evaluation) -> EvaluationResult | None:
    if len(evaluation.expression) > MAX_LENGTH:
        return _limit(f"the expression is longer than {MAX_LENGTH} characters")
    return None


def _run_worker(scopes: Sequence[Variables], evaluations: Sequence[Evaluation]) -> tuple[list[EvaluationResult], str]:
    """The results until the worker ended, and why it ended early."""
    used = sorted({evaluation.scope for evaluation in evaluations if evaluation.scope >= 0})
    place = {scope: index for index, scope in enumerate(used)} | {-1: -1}
    request = {
        "scopes": [scopes[scope] for scope in used],
        "evaluations": [[place[item.scope], item.expression, item.expected] for item in evaluations],
    }
    ran = process.run(
        _COMMAND,
        stdin=json.dumps(request, default=str).encode(),
        timeout=_SECONDS,
        environment=clean_environment() | _ENVIRONMENT,
    )
    lines = ran.stdout.split(b"\n")[:-1]
    if not lines:  # the first line says that the library could be imported
        raise OutsideError(f"CEL cannot be evaluated: {ran.stderr[-300:]}", hint="reinstall m2g")
    return [_DECODER.decode(line) for line in lines[1:]], _explain_exit(ran.code)


def _explain_exit(code: int) -> str:
    if code == -signal.SIGPROF:
        return "the expression needs more than one second of processor time"
    if code == -signal.SIGABRT:
        return "the expression needs too much memory"
    return "the expression crashes the CEL library"


def _limit(problem: str) -> EvaluationResult:
    return EvaluationResult(status=Status.LIMIT, problem=problem)
