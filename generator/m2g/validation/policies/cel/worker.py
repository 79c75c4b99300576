"""The process in which expressions are evaluated: one JSON request on stdin, one line for each answer on stdout.

A line is written as soon as it is known, so that whoever started this knows which expression ended the process.
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
from m2g.validation.policies.cel_types import Answer, Ending, Question, Variables, Wanted

if TYPE_CHECKING:
    import cel

SECONDS = 1.0
"""Processor time of one evaluation; the usual one takes some microseconds."""
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
_SPELLED = {functions.SIZE: "size"}
_COMPILE_ERRORS = (ValueError, TypeError, RuntimeError)


class _Request(msgspec.Struct, frozen=True):
    scopes: list[dict[str, object]]
    questions: list[tuple[int, str, Wanted]]


def main() -> None:
    """Answer all that is asked; ends by SIGPROF where one answer takes too long."""
    _bound_memory()
    evaluator = _Evaluator(_library())
    sys.stdout.write("ready\n")
    sys.stdout.flush()  # the first expression may already end the process
    request = msgspec.convert(json.load(sys.stdin.buffer), _Request)
    for scope, expression, wanted in request.questions:
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        question = Question(expression=expression, wanted=wanted, scope=scope)
        answer = evaluator.answer(question, request.scopes[scope] if scope >= 0 else {})
        signal.setitimer(signal.ITIMER_PROF, 0)
        sys.stdout.write(json.dumps(msgspec.to_builtins(answer)) + "\n")
        sys.stdout.flush()


def _library() -> ModuleType:
    """The library without its command line, whose import takes four times as long as all else."""
    sys.modules["cel.cli"] = ModuleType("cel.cli")
    import cel

    return cel


def _bound_memory() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    limit = MEMORY if most == resource.RLIM_INFINITY else min(MEMORY, most)
    try:
        resource.setrlimit(resource.RLIMIT_AS, (limit, most))
    except (ValueError, OSError):  # macOS takes no limit; the one on time holds
        return


class _Evaluator:
    """Compiles each expression once, and keeps the context of the last scope."""

    def __init__(self, library: ModuleType) -> None:
        self._library = library
        self._functions = functions.table(library)
        self._programs: dict[str, cel.Program | Answer] = {}
        self._scope = -2
        self._context: cel.Context | None = None

    def answer(self, question: Question, variables: Variables) -> Answer:
        program = self._compiled(question.expression)
        if isinstance(program, Answer):
            return program
        if question.wanted is Wanted.NOTHING:
            used = program.references()
            known = functions.NATIVE.union(*(name.split(".") for name in self._functions))
            unknown = [name for name in used["functions"] if name.isidentifier() and name not in known]
            return Answer(variables=tuple(used["variables"]), unknown=tuple(unknown))
        try:
            if self._scope != question.scope:
                self._context = self._library.Context(dict(variables), self._functions)
                self._scope = question.scope
            return _typed(program.execute(self._context), question.wanted)
        except (LookupError, TypeError, ValueError, RuntimeError, ArithmeticError, MemoryError) as error:
            return _failed(error)

    def _compiled(self, expression: str) -> cel.Program | Answer:
        if expression not in self._programs:
            try:
                self._programs[expression] = self._library.compile(_own_size(expression))
            except _COMPILE_ERRORS as error:
                self._programs[expression] = _unreadable(str(error))
        return self._programs[expression]


def _own_size(expression: str) -> str:
    """`size` counts bytes in the library where CEL counts characters, and a function of ours cannot take its name."""
    return _TOKEN.sub(lambda found: found["kept"] or functions.SIZE, expression)


def _typed(value: object, wanted: Wanted) -> Answer:
    if wanted is Wanted.TRUTH and isinstance(value, bool):
        return Answer(truth=value)
    if wanted is Wanted.TEXT and isinstance(value, str):
        return Answer(text=value[:2000])
    words = {Wanted.TRUTH: "true or false", Wanted.TEXT: "text"}[wanted]
    return Answer(ending=Ending.TYPE, problem=f"gives {_described(value)}, not {words}")


def _described(value: object) -> str:
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


def _unreadable(text: str) -> Answer:
    found = _SYNTAX.search(text)
    if found is None:
        return Answer(ending=Ending.SYNTAX, problem=text.splitlines()[0][:200] if text else "is not CEL")
    problem = found[3].replace(functions.SIZE, "size").split(" expecting {")[0]
    if problem.startswith("unsupported syntax"):
        return Answer(ending=Ending.UNSUPPORTED, problem=f"{problem}, which the CEL library does not know")
    where = f"line {found[1]}, " if found[1] != "1" else ""
    return Answer(ending=Ending.SYNTAX, problem=f"{problem} ({where}column {found[2]})")


def _failed(error: Exception) -> Answer:
    text = str(error)
    name, function = _NAME.search(text), _FUNCTION.search(text)
    match error:
        case KeyError():
            problem = f"there is no field {error.args[0]!r} here"
            return Answer(ending=Ending.ABSENT, problem=problem)
        case LookupError() | ArithmeticError():
            return Answer(ending=Ending.ABSENT, problem=text.splitlines()[0])
        case MemoryError():
            return Answer(ending=Ending.LIMIT, problem="needs more memory than is allowed")
        case _ if name:
            return Answer(ending=Ending.NAME, problem=f"{name[1]!r} is not known")
        case _ if function:
            where = _SPELLED.get(function[1], function[1])
            return Answer(ending=Ending.TYPE, problem=f"{where}(): {' '.join(function[2].split())[:200]}")
        case _:
            return Answer(ending=Ending.TYPE, problem=(text.splitlines() or [""])[0].split(". ")[0][:200])


if __name__ == "__main__":
    main()
