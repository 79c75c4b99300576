"""`m2g init`: a new GitOps repository."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from m2g.core.errors import InputError
from m2g.core.model import Value
from m2g.scaffold import create


class InitDone(Value, frozen=True, kw_only=True):
    """The new repository. `files` are relative to `folder`; `in_git` tells whether `folder` is in a Git repository."""

    folder: str
    files: tuple[str, ...]
    in_git: bool = False


def init(destination: Path, *, template: str | None, data: Sequence[str], defaults: bool) -> InitDone:
    """Create a repository in `destination`. `data` are answers as `QUESTION=ANSWER`.

    Raises InputError for invalid answers or an unusable destination, OutsideError if Git or the disk fails.
    """
    answers = dict(_answer(item) for item in data)
    files = create.create_repository(destination, template=template, answers=answers, defaults=defaults)
    in_git = any((folder / ".git").exists() for folder in (destination, *destination.absolute().parents))
    return InitDone(folder=str(destination), files=files, in_git=in_git)


def _answer(item: str) -> tuple[str, str]:
    question, equals, answer = item.partition("=")
    if not equals or not question.strip():
        hint = "write it like this: --data environments=dev,prod"
        raise InputError(f"--data {item!r} is not QUESTION=ANSWER", hint=hint)
    return question.strip(), answer
