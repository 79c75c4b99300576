"""Scaffolded repositories, Git as a person uses it, and a small fleet to put into them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from ruamel.yaml import YAML

from m2g.commands.init import init
from tests.support.fleet import FakeRegistry, model, run


def scaffold(to: Path, *answers: str) -> Path:
    """`m2g init TO --defaults --data …` with the packaged template."""
    init(to, template=None, data=answers, defaults=True)
    return to


def documents(path: Path) -> list[object]:
    """Every document of a YAML file as plain data."""
    return list(YAML(typ="safe", pure=True).load_all(path.read_text()))


def mapping(value: object, *keys: str | int) -> dict[str, object]:
    """The mapping at a place inside plain data."""
    found = at(value, *keys)
    assert isinstance(found, dict)
    return found


def at(value: object, *keys: str | int) -> object:
    """What lies at a place inside plain data."""
    for key in keys:
        if isinstance(key, int):
            assert isinstance(value, list)
            value = value[key]
        else:
            assert isinstance(value, dict)
            value = value[key]
    return value


def sequence(value: object, *keys: str | int) -> list[object]:
    """The list at a place inside plain data."""
    found = at(value, *keys)
    assert isinstance(found, list)
    return found


def strings(value: object) -> Iterator[str]:
    """Every string inside plain data, keys too."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from strings(key)
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)
    elif isinstance(value, str):
        yield value


def git(folder: Path, *arguments: str, code: int = 0) -> str:
    """Standard output of a git command that must end with `code`."""
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def commit(folder: Path, message: str) -> None:
    """Commit everything; the folder becomes a repository if it is none."""
    if not (folder / ".git").exists():
        git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", message)


def program(arguments: Sequence[str | Path], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program as a person would, with nobody at the terminal."""
    return subprocess.run(
        arguments,
        cwd=folder,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def fleet(root: Path) -> Path:
    """Render three models into a repository: wine everywhere, fraud up to staging, churn in prod alone."""
    registry = FakeRegistry(
        [
            model("wine", candidate="3", challenger="2", champion="1"),
            model("Fraud Detection", candidate="3", challenger="3"),
            model("churn", champion="2"),
        ]
    )
    run(root, registry)
    return root
