"""What one stage of a smoke test hands to the next one, which is a new process without the credentials of the last.

    download    has the registry's credentials; runs nothing of a model
    install     has those of the package index; runs nothing of a model
    serve       has none, and runs the model's code

The file with the plan is in a folder that only this user can read, and is gone before the model's code runs.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any, Literal, NoReturn

import msgspec

from m2g.core import process, tempdirs
from m2g.core.model import Value
from m2g.core.process.environment import clean_environment
from m2g.core.results import SmokeTest, Walls
from m2g.image.package_index import PASSED as INDEX
from m2g.repository.trusted_registry import ChosenRegistry
from m2g.smoke.ask import Asked
from m2g.smoke.environment import Environment
from m2g.smoke.install import EnvironmentSpec
from m2g.smoke.program import Plan
from m2g.smoke.targets import Target

Stage = Literal["install", "serve"]
COMMAND = "smoke-stage"
_FILE = "plan.json"
_OWN = ("HOME", "M2G_CACHE_DIR", "M2G_UV", "PYENV_ROOT", "XDG_CACHE_HOME", "COLUMNS", "TERM", "NO_COLOR", "FORCE_COLOR")
"""What m2g itself reads in these stages."""


class Trial(Value, frozen=True, kw_only=True):
    """One version under test. `code` is the exit code of `result` once it has failed.

    `spec` is None for an environment that exists: that of the option. `asked` is what a deployed endpoint answered.
    """

    target: Target
    result: SmokeTest
    code: int = 0
    folder: Path | None = None
    spec: EnvironmentSpec | None = None
    spec_notes: tuple[str, ...] = ()
    environment: Environment | None = None
    asked: Asked | None = None


class ServeOptions(Value, frozen=True, kw_only=True):
    """How to serve and ask. `passed` are variables for the model, `shown` files that it may read.

    `listener` is a listening socket for clients of the model, which is then served until SIGINT; -1 without one.
    With `rows`, a file to predict, nothing is served, and the predictions go to `output`.
    """

    requests: int = 20
    seconds: float = 120.0
    port: int = 0
    passed: dict[str, str] = {}
    shown: tuple[Path, ...] = ()
    keep_logs: Path | None = None
    rest_only: bool = False
    any_version: bool = False
    listener: int = -1
    rows: Path | None = None
    output: Path | None = None


class StagePlan(Value, frozen=True, kw_only=True):
    """Everything that the next stage needs. `workspace` is a temporary folder that the last stage removes. `snapshot`
    is the file to which it adds what failed.
    """

    trials: tuple[Trial, ...]
    options: ServeOptions
    workspace: Path
    walls: Walls
    output_format: str
    snapshot: Path | None = None

    @property
    def pending(self) -> bool:
        """Whether something is left to do."""
        return any(trial.code == 0 for trial in self.trials)


def start_stage(stage: Stage, plan: StagePlan) -> NoReturn:
    """Replace this process by the next stage. Raises OutsideError if it cannot be started, or if there is no space."""
    file = plan.workspace / _FILE
    plan = _forget_registry(plan)
    try:
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(msgspec.json.encode(plan, enc_hook=str))
    except OSError as error:
        raise tempdirs.describe_no_space(error) from error
    command: tuple[str, ...] = (sys.executable, "-P", "-m", "m2g", COMMAND, stage, str(file))
    if stage == "serve" and plan.walls.network:
        command = (*process.jailed("network"), *command)
    process.become(command, clean_environment((*_OWN, *(INDEX if stage == "install" else ()))))


def _forget_registry(plan: StagePlan) -> StagePlan:
    """The plan without the registry's URI, which may contain a password. Everything is downloaded by now."""
    trials = (
        msgspec.structs.replace(one, target=msgspec.structs.replace(one.target, registry=ChosenRegistry(uri="")))
        for one in plan.trials
    )
    return msgspec.structs.replace(plan, trials=tuple(trials))


def read_plan(file: Path) -> StagePlan:
    """The plan of the last stage; its file is removed."""
    content = file.read_bytes()
    file.unlink()
    return msgspec.json.decode(content, type=StagePlan, dec_hook=_to_path)


def make_programs(trial: Trial, plan: StagePlan, folder: Path, environment: Environment, workspace: Path) -> Plan:
    """How the programs of one version run in the last stage."""
    target, options = trial.target, plan.options
    return Plan(
        model=target.model,
        slug=target.slug,
        version=target.version,
        profile=target.profile,
        folder=folder,
        environment=environment,
        workspace=workspace,
        walled=plan.walls.files,
        variables=target.variables,
        passed=options.passed,
        shown=options.shown,
        port=options.port if options.listener < 0 else 0,
        seconds=options.seconds,
    )


def remove_workspace(plan: StagePlan) -> None:
    """Remove the temporary folder of all stages."""
    shutil.rmtree(plan.workspace, ignore_errors=True)


def _to_path(kind: type, value: Any) -> object:
    return kind(value)
