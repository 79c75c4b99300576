"""Run `m2g sync` in a process that can be killed. As a script it waits for requests, and forks for each.

A request is a line of JSON: the clone, the API of a Gitea, the repository there, the aliases of the registry (model →
alias → version), and the file for the result.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from m2g.commands import validate
from m2g.core.errors import M2gError
from m2g.delivery.loop import LoopOptions, Tools, run_loop
from m2g.delivery.survey import SurveyOptions
from m2g.forge.gitea import Gitea
from m2g.git.remote import find_remote
from m2g.git.worktree import open_worktree
from m2g.report.review_markdown import render_markdown
from m2g.repository.state import Scope
from m2g.resolution.resolve import resolve
from tests.support.fleet import FakeRegistry, model
from tests.support.paths import ROOT

KILLED = -9


class Child:
    """The process that forks. `started` is told the id of each child before it does anything."""

    def __init__(self, process: subprocess.Popen[str], started: Callable[[int], None]) -> None:
        self._process = process
        self._started = started

    def run(self, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """How a run ended (KILLED, 0, or 1 for an error of m2g), and what it said."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        path = Path(request["result"])
        path.write_text("{}")
        self._write(json.dumps(request))
        self._started(int(self._process.stdout.readline()))
        self._write("go")
        code = int(self._process.stdout.readline())
        return code, json.loads(path.read_text() or "{}")

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()


@contextmanager
def sync_child(started: Callable[[int], None]) -> Iterator[Child]:
    """A process that runs `m2g sync` again and again, in children."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.sync_child"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'generator'}{os.pathsep}{ROOT}"},
    ) as process:
        yield Child(process, started)
        assert process.stdin is not None
        process.stdin.close()


def _sync(request: dict[str, Any]) -> dict[str, Any]:
    clone = Path(request["clone"])
    registry = FakeRegistry([model(name, **aliases) for name, aliases in request["registry"].items()])
    if request.get("quick"):  # the waits between two attempts are tested in tests/delivery/test_clients.py
        import time

        time.sleep = lambda seconds: None
    tools = Tools(
        resolve=lambda folder, base: lambda repository, cache: resolve(repository, registry, Scope(), cache),
        validate=lambda root, part: validate.validate(root, validate.ValidateOptions(scope=part)),
        describe=render_markdown,
        open_forge=lambda rules: Gitea(request["api"], "http://page", request["path"], request["token"]),
    )
    with open_worktree(clone, find_remote(clone)) as worktree:
        result = run_loop(worktree, LoopOptions(survey=SurveyOptions()), tools)
    return {
        "actions": {one.branch: str(one.action) for one in result.proposals},
        "why": {one.branch: one.why for one in result.proposals},
        "problems": [one.message for one in result.problems],
        "hints": [one.hint for one in result.problems],
    }


def _fork(request: dict[str, Any]) -> None:
    """Only this thread exists, so the child has all that it needs."""
    child = os.fork()
    if child:
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        return
    assert sys.stdin.readline() == "go\n"
    code, said = 0, {}
    try:
        said = _sync(request)
    except M2gError as error:
        code, said = 1, {"error": error.message, "hint": error.hint}
    except BaseException:  # noqa: BLE001  # whoever waits reads it
        code, said = 3, {"error": traceback.format_exc()}
    Path(request["result"]).write_text(json.dumps(said))
    os._exit(code)


if __name__ == "__main__":
    while line := sys.stdin.readline():
        _fork(json.loads(line))
