"""What is asked of CEL and what it answers, as values: expressions, the variables they see, and how each one ended."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeAlias

from m2g.core.model import Value

Variables: TypeAlias = Mapping[str, object]
"""Name to plain JSON data."""

MAX_LENGTH = 4096
"""Characters of one expression; longer ones are refused before any library sees them."""


class Wanted(StrEnum):
    """What an expression must give; NOTHING asks only which names it uses."""

    TRUTH = "truth"
    TEXT = "text"
    NOTHING = "nothing"


class Ending(StrEnum):
    """How an evaluation ended."""

    DONE = "done"
    ABSENT = "absent"
    """A field, key or index that the data does not have, or an operation that these numbers do not allow."""
    TYPE = "type"
    """An operation that is not defined for these types, or an answer of another type than was wanted."""
    NAME = "name"
    """A variable or function that is not known here."""
    SYNTAX = "syntax"
    UNSUPPORTED = "unsupported"
    """Right CEL, but more than the library knows."""
    LIMIT = "limit"
    """Too much time or memory, or the library itself broke."""


class Question(Value, frozen=True, kw_only=True):
    """One expression over one set of variables: its place in the list that goes with the questions."""

    expression: str
    wanted: Wanted = Wanted.TRUTH
    scope: int = -1


class Answer(Value, frozen=True, kw_only=True):
    """`truth` and `text` count where `ending` is DONE; `problem` is one line for a person everywhere else.

    Where NOTHING was wanted, `variables` are the names in the expression, also those that it binds itself, and
    `unknown` the functions that nobody here has.
    """

    ending: Ending = Ending.DONE
    truth: bool = False
    text: str = ""
    problem: str = ""
    variables: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
