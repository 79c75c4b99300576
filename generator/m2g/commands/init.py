"""`m2g init`: a new GitOps repository."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from m2g.core.errors import InputError
from m2g.core.model import Value
from m2g.scaffold import create


class InitDone(Value, frozen=True, kw_only=True):
    """What was made: `files` are relative to `folder`; `in_git` says whether it is in a Git repository already."""

    folder: str
    files: tuple[str, ...]
    in_git: bool = False


def init(destination: Path, *, template: str | None, data: Sequence[str], defaults: bool) -> InitDone:
    """Make a repository in `destination`. `data` are answers as `QUESTION=ANSWER`.

    Raises InputError for answers and a destination that cannot be used, OutsideError for Git and the disk.
    """
    answers = dict(_answer(item) for item in data)
    files = create.create_repository(destination, template=template, answers=answers, defaults=defaults)
    in_git = any((folder / ".git").exists() for folder in (destination, *destination.absolute().parents))
    return InitDone(folder=str(destination), files=files, in_git=in_git)


def _answer(item: str) -> tuple[str, str]:
    question, equals, answer = item.partition("=")
    if not equals or not question.strip():
        raise InputError(f"--data {item!r} is no QUESTION=ANSWER", hint="for example --data environments=dev,prod")
    return question.strip(), answer
