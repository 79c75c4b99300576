"""The options of verbs that work without a clone, and the repository that they name."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from m2g.core.errors import InputError

_OPTIONS = (
    click.option("--repository", metavar="ADDRESS", default="", help="Clone this repository; no clone is needed here."),
    click.option("--path", metavar="DIR", default="", help="The folder of m2g.yaml in --repository, if not its root."),
    click.option(
        "--branch", metavar="NAME", default="", help="The branch to change. Default: the remote's default branch."
    ),
    click.option("--remote", metavar="NAME", default="", help="The remote to propose changes to. Default: origin."),
)


def REPOSITORY(command: Callable[..., object]) -> Callable[..., object]:  # noqa: N802  # used like click's options
    """The options that say which repository and branch it is."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@contextlib.contextmanager
def open_repository(folder: Path, address: str, path: str, branch: str) -> Iterator[Callable[[], Path]]:
    """The folder of m2g.yaml: around `folder`, or in a temporary clone, which each call brings up to date."""
    from m2g.git.worktree import open_clone
    from m2g.repository import config

    if not address:
        if path:
            raise InputError("--path is a folder in --repository", hint="without --repository, write m2g -C DIR")
        root = config.find_root(folder)
        yield lambda: root
        return
    with open_clone(address, branch) as fetch:
        yield lambda: config.find_root(fetch() / path)
