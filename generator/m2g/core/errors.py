"""The errors that a user can see. Each has a hint and an exit code."""

from __future__ import annotations

import shlex
from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every verb (docs/reference/exit-codes.md)."""

    DONE = 0
    NO = 1
    """The command found something: findings or drift."""
    INPUT = 2
    """The user's input is invalid: options, m2g.yaml, model.yaml, a record, a hand edit."""
    OUTSIDE = 3
    """Something outside m2g failed (registry, Git, a tool, the disk). No file was changed."""
    BUG = 4
    INTERRUPTED = 130
    TERMINATED = 143


def restore_command(path: str) -> str:
    """The command for a hint that discards changes to a file that are not committed yet."""
    return f"git checkout -- {quote(path)}"


def quote(path: str) -> str:
    """A path as one word of a shell command. Characters that a terminal cannot show become escapes of bash."""
    if path.isprintable():
        return shlex.quote(path)
    return "$'" + "".join(_quote_character(character) for character in path) + "'"


def _quote_character(character: str) -> str:
    if character.isprintable():
        return f"\\{character}" if character in "\\'" else character
    return "".join(f"\\x{byte:02x}" for byte in character.encode(errors="surrogateescape"))


class M2gError(Exception):
    """`message` says in one sentence what failed and where; `hint` says what to do next.

    Secrets in both are removed.
    """

    exit_code = Exit.BUG

    def __init__(self, message: str, *, hint: str = "") -> None:
        from m2g.core.redact import redact  # only where something failed: `m2g --help` needs no patterns

        self.message = redact(message)
        self.hint = redact(hint)
        super().__init__(self.message)


class InputError(M2gError):
    """The user's input is invalid. The message names the file and line, or the option."""

    exit_code = Exit.INPUT


class OutsideError(M2gError):
    """The registry, Git, a tool or the file system failed. Nothing was changed."""

    exit_code = Exit.OUTSIDE
