"""Evaluations of CEL expressions and their results, as values."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeAlias

from m2g.core.model import Value

Variables: TypeAlias = Mapping[str, object]
"""Name to plain JSON data."""

MAX_LENGTH = 4096
"""Characters of one expression; the library never gets a longer one."""


class Expected(StrEnum):
    """What an expression must return. NAMES does not evaluate it, but lists the names that it uses."""

    BOOL = "bool"
    TEXT = "text"
    NAMES = "names"


class Status(StrEnum):
    """How an evaluation ended."""

    DONE = "done"
    MISSING = "missing"
    """The data does not have a field, key or index, or an operation is not possible with these numbers."""
    TYPE = "type"
    """An operation is not defined for these types, or the result has another type than expected."""
    NAME = "name"
    """A variable or function is unknown."""
    SYNTAX = "syntax"
    UNSUPPORTED = "unsupported"
    """The expression is valid CEL, but the library does not support it."""
    LIMIT = "limit"
    """The evaluation needs too much time or memory, or the library crashed."""


class Evaluation(Value, frozen=True, kw_only=True):
    """One expression to evaluate. `scope` is the index of its variables; -1 for none."""

    expression: str
    expected: Expected = Expected.BOOL
    scope: int = -1


class EvaluationResult(Value, frozen=True, kw_only=True):
    """`is_true` or `text` is the value if `status` is DONE; otherwise `problem` says in one line what is wrong.

    For NAMES, `variables` are the names in the expression, including those that it binds itself, and
    `unknown_functions` the functions that do not exist.
    """

    status: Status = Status.DONE
    is_true: bool = False
    text: str = ""
    problem: str = ""
    variables: tuple[str, ...] = ()
    unknown_functions: tuple[str, ...] = ()
