"""Start a program that runs a model's code: behind walls, with an environment of its own and limits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from m2g.core import process
from m2g.core.model import Value
from m2g.core.process.environment import clean_environment
from m2g.smoke.environment import Environment, check_seal
from m2g.smoke.walls import list_python_files, make_jail, make_limits


class Plan(Value, frozen=True, kw_only=True):
    """What to serve, and how.

    `variables` are those of the setting `env`; `passed` are more, which the user named. `shown` are files that the
    user named. `workspace` is for this test alone. `walled` says whether this machine can build walls.
    """

    model: str
    slug: str
    version: str
    profile: str
    folder: Path
    environment: Environment
    workspace: Path
    walled: bool
    variables: Mapping[str, str] = {}
    passed: Mapping[str, str] = {}
    shown: tuple[Path, ...] = ()
    port: int = 0
    seconds: float = 120.0


class Program(Value, frozen=True, kw_only=True):
    """Arguments for the Python of the model's environment. The program may read and write these files only."""

    name: str
    arguments: tuple[str, ...]
    variables: Mapping[str, str] = {}
    read: tuple[Path, ...] = ()
    write: tuple[Path, ...] = ()


def make_task(program: Program, plan: Plan) -> process.Task:
    """The program as a task; its log is `<name>.log` in the workspace. Raises OutsideError if the environment that it
    runs in was changed."""
    if not plan.walled:  # behind walls, no model can change an environment after `open_environment` has checked it
        check_seal(plan.environment)
    scratch = plan.workspace / program.name
    for folder in (scratch, plan.workspace / "root"):
        folder.mkdir(exist_ok=True)
    read = (plan.folder, *list_python_files(plan.environment.python), *plan.shown, *program.read)
    return process.Task(
        arguments=(str(plan.environment.python), *program.arguments),
        cwd=scratch,
        log=find_log(plan, program.name),
        environment=_make_environment(program, plan, scratch),
        remove=plan.workspace.parent,
        limits=make_limits(),
        jail=make_jail(plan.workspace, read=read, write=program.write, scratch=str(scratch)) if plan.walled else None,
    )


def find_log(plan: Plan, name: str) -> Path:
    """The log of a program. The program itself cannot write to it."""
    return plan.workspace / f"{name}.log"


def _make_environment(program: Program, plan: Plan, scratch: Path) -> dict[str, str]:
    """The variables of a program: as in its image, and none of m2g's own but those that the user named."""
    own = {
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    kept = {name: value for name, value in clean_environment().items() if name != "PYTHONSAFEPATH"}
    return kept | own | dict(plan.passed) | dict(plan.variables) | dict(program.variables)
