"""The worker process that evaluates expressions: one JSON request on stdin, one line for each result on stdout.

It writes each line as soon as it has the result, so that the parent knows which expression crashed it.
"""

from __future__ import annotations

import json
import re
import resource
import signal
import sys
from types import ModuleType
from typing import TYPE_CHECKING

import msgspec

from m2g.validation.policies.cel import functions
from m2g.validation.policies.cel_types import Evaluation, EvaluationResult, Expected, Status, Variables

if TYPE_CHECKING:
    import cel

SECONDS = 1.0
"""Maximum processor time of one evaluation; usually it takes a few microseconds."""
MEMORY = 2 << 30

_TOKEN = re.compile(
    r"""(?P<kept>//[^\n]*
    |(?:[rR][bB]?|[bB][rR])(?:\"\"\".*?\"\"\"|'''.*?'''|"[^"\n]*"|'[^'\n]*')
    |\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'
    )|\bsize(?=\s*\()""",
    re.VERBOSE | re.DOTALL,
)
_SYNTAX = re.compile(r"ERROR: <input>:(\d+):(\d+): ([^\n]*)")
_NAME = re.compile(r"Undefined variable or function: '([^']*)'")
_FUNCTION = re.compile(
    r"Function '([^']*)' error: (?:Python function call failed: \w+: )?(.*?)\.? Check func", re.DOTALL
)
_DISPLAY_NAMES = {functions.SIZE: "size"}
_COMPILE_ERRORS = (ValueError, TypeError, RuntimeError)


class _Request(msgspec.Struct, frozen=True):
    scopes: list[dict[str, object]]
    evaluations: list[tuple[int, str, Expected]]


def main() -> None:
    """Evaluate all expressions of the request. SIGPROF ends the process if one of them takes too long."""
    _limit_memory()
    evaluator = _Evaluator(_import_library())
    sys.stdout.write("ready\n")
    sys.stdout.flush()  # the first expression may already crash the process
    request = msgspec.convert(json.load(sys.stdin.buffer), _Request)
    for scope, expression, expected in request.evaluations:
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        evaluation = Evaluation(expression=expression, expected=expected, scope=scope)
        result = evaluator.evaluate(evaluation, request.scopes[scope] if scope >= 0 else {})
        signal.setitimer(signal.ITIMER_PROF, 0)
        sys.stdout.write(json.dumps(msgspec.to_builtins(result)) + "\n")
        sys.stdout.flush()


def _import_library() -> ModuleType:
    """The library without its command line, whose import takes four times as long as all the rest."""
    sys.modules["cel.cli"] = ModuleType("cel.cli")
    import cel

    return cel


def _limit_memory() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    limit = MEMORY if most == resource.RLIM_INFINITY else min(MEMORY, most)
    try:
        resource.setrlimit(resource.RLIMIT_AS, (limit, most))
    except (ValueError, OSError):  # macOS has no such limit; the time limit still applies
        return


class _Evaluator:
    """Compiles each expression once, and keeps the context of the last scope."""

    def __init__(self, library: ModuleType) -> None:
        self._library = library
        self._functions = functions.make_table(library)
        self._programs: dict[str, cel.Program | EvaluationResult] = {}
        self._scope = -2
        self._context: cel.Context | None = None

    def evaluate(self, evaluation: Evaluation, variables: Variables) -> EvaluationResult:
        program = self._compile(evaluation.expression)
        if isinstance(program, EvaluationResult):
            return program
        if evaluation.expected is Expected.NAMES:
            used = program.references()
            known = functions.NATIVE.union(*(name.split(".") for name in self._functions))
            unknown = [name for name in used["functions"] if name.isidentifier() and name not in known]
            return EvaluationResult(variables=tuple(used["variables"]), unknown_functions=tuple(unknown))
        try:
            if self._scope != evaluation.scope:
                self._context = self._library.Context(dict(variables), self._functions)
                self._scope = evaluation.scope
            return _check_type(program.execute(self._context), evaluation.expected)
        except (LookupError, TypeError, ValueError, RuntimeError, ArithmeticError, MemoryError) as error:
            return _explain_failure(error)

    def _compile(self, expression: str) -> cel.Program | EvaluationResult:
        if expression not in self._programs:
            try:
                self._programs[expression] = self._library.compile(_replace_size(expression))
            except _COMPILE_ERRORS as error:
                self._programs[expression] = _explain_syntax(str(error))
        return self._programs[expression]


def _replace_size(expression: str) -> str:
    """The library's `size` counts bytes instead of characters, and a function of ours cannot have the same name."""
    return _TOKEN.sub(lambda token: token["kept"] or functions.SIZE, expression)


def _check_type(value: object, expected: Expected) -> EvaluationResult:
    if expected is Expected.BOOL and isinstance(value, bool):
        return EvaluationResult(is_true=value)
    if expected is Expected.TEXT and isinstance(value, str):
        return EvaluationResult(text=value[:2000])
    wanted = {Expected.BOOL: "true or false", Expected.TEXT: "a string"}[expected]
    return EvaluationResult(status=Status.TYPE, problem=f"the expression returns {_describe(value)}, not {wanted}")


def _describe(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool() | int() | float() | str():
            return json.dumps(value)[:60]
        case list():
            return "a list"
        case dict():
            return "a map"
        case _:
            return f"a {type(value).__name__}"


def _explain_syntax(text: str) -> EvaluationResult:
    match = _SYNTAX.search(text)
    if match is None:
        problem = text.splitlines()[0][:200] if text else "the expression is not valid CEL"
        return EvaluationResult(status=Status.SYNTAX, problem=problem)
    problem = match[3].replace(functions.SIZE, "size").split(" expecting {")[0]
    if problem.startswith("unsupported syntax"):
        return EvaluationResult(status=Status.UNSUPPORTED, problem=f"the CEL library does not support it: {problem}")
    line = f"line {match[1]}, " if match[1] != "1" else ""
    return EvaluationResult(status=Status.SYNTAX, problem=f"{problem} ({line}column {match[2]})")


def _explain_failure(error: Exception) -> EvaluationResult:
    text = str(error)
    name, function = _NAME.search(text), _FUNCTION.search(text)
    match error:
        case KeyError():
            return EvaluationResult(status=Status.MISSING, problem=f"there is no field {error.args[0]!r}")
        case LookupError() | ArithmeticError():
            return EvaluationResult(status=Status.MISSING, problem=text.splitlines()[0])
        case MemoryError():
            return EvaluationResult(status=Status.LIMIT, problem="the expression needs too much memory")
        case _ if name:
            return EvaluationResult(status=Status.NAME, problem=f"{name[1]!r} is unknown")
        case _ if function:
            called = _DISPLAY_NAMES.get(function[1], function[1])
            return EvaluationResult(status=Status.TYPE, problem=f"{called}(): {' '.join(function[2].split())[:200]}")
        case _:
            return EvaluationResult(status=Status.TYPE, problem=(text.splitlines() or [""])[0].split(". ")[0][:200])


if __name__ == "__main__":
    main()
