"""`m2g init`: a new GitOps repository."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from m2g.core.errors import InputError
from m2g.core.model import Value
from m2g.git import read
from m2g.scaffold import create

_OF_FORGES = frozenset({"README.md", ".gitignore"})
"""What GitHub and GitLab put into a new repository."""


class InitDone(Value, frozen=True, kw_only=True):
    """The new repository. `files` are relative to `folder`; `in_git` tells whether `folder` is in a Git repository.

    `replaced` are the files of the forge that the template's took the place of. Git still has them.
    """

    folder: str
    files: tuple[str, ...]
    in_git: bool = False
    replaced: tuple[str, ...] = ()


def init(destination: Path, *, template: str | None, data: Sequence[str], defaults: bool) -> InitDone:
    """Create a repository in `destination`. `data` are answers as `QUESTION=ANSWER`.

    Raises InputError for invalid answers or an unusable destination, OutsideError if Git or the disk fails.
    """
    answers = dict(_answer(item) for item in data)
    if template is None and "subfolder" not in answers and (subfolder := _find_subfolder(destination)):
        answers["subfolder"] = subfolder
    replaceable = _find_replaceable(destination)
    files = create.create_repository(
        destination, template=template, answers=answers, defaults=defaults, replaceable=replaceable
    )
    in_git = any((folder / ".git").exists() for folder in (destination, *destination.absolute().parents))
    replaced = tuple(sorted(replaceable & read.list_changed(destination, "HEAD"))) if replaceable else ()
    return InitDone(folder=str(destination), files=files, in_git=in_git, replaced=replaced)


def _find_subfolder(destination: Path) -> str:
    """Where the destination lies inside of a Git repository; empty at its root, and outside of one."""
    place = Path(os.path.abspath(destination))
    top = next((folder for folder in (place, *place.parents) if (folder / ".git").exists()), place)
    return "" if top == place else place.relative_to(top).as_posix()


def _find_replaceable(destination: Path) -> frozenset[str]:
    """The files of the forge in a clone that are as Git has them, so that replacing them loses nothing."""
    if not (destination / ".git").exists():
        return frozenset()
    try:
        head = read.resolve_ref(destination, "HEAD")
    except InputError:  # a clone without a commit
        return frozenset()
    committed = read.list_files(destination, head).keys()
    return (_OF_FORGES & committed) - read.list_changed(destination, head)


def _answer(item: str) -> tuple[str, str]:
    question, equals, answer = item.partition("=")
    if not equals or not question.strip():
        hint = "write it like this: --data environments=dev,prod"
        raise InputError(f"--data {item!r} is not QUESTION=ANSWER", hint=hint)
    return question.strip(), answer
