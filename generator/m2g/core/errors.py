"""The errors a person can meet, each with the way out and the exit code it ends with."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every verb (docs/reference/exit-codes.md)."""

    DONE = 0
    NO = 1
    """The answer is no: findings, drift."""
    INPUT = 2
    """The person's input is wrong: options, m2g.yaml, model.yaml, a record, a hand edit."""
    OUTSIDE = 3
    """The outside world failed (registry, Git, a tool, the disk); the tree is as it was."""
    BUG = 4
    INTERRUPTED = 130
    TERMINATED = 143


class M2gError(Exception):
    """What failed and where, in one sentence; `hint` says what to do next."""

    exit_code = Exit.BUG

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InputError(M2gError):
    """Something a person wrote is wrong; the message names file and line or the option."""

    exit_code = Exit.INPUT


class OutsideError(M2gError):
    """Registry, Git, a tool or the file system failed; nothing was changed."""

    exit_code = Exit.OUTSIDE
