"""`m2g predict`: the predictions of a version for a file, in the packages and behind the walls of `m2g smoke`."""

from __future__ import annotations

from pathlib import Path

from m2g.core import safe_files
from m2g.core.errors import Exit, InputError
from m2g.core.results import Predictions
from m2g.smoke import probes
from m2g.smoke.stages import StagePlan, make_programs

_LARGEST = 1 << 30


def find_form(path: Path) -> str:
    """`csv` or `json`, by the name of a file. Raises InputError for another name."""
    if path.suffix.lower() not in (".csv", ".json"):
        raise InputError(f"{path} is neither .csv nor .json", hint="name the file so that its form is known")
    return path.suffix.lower()[1:]


def check_rows(path: Path) -> Path:
    """The absolute path of a file of rows. Raises InputError if it cannot be read, or is larger than 1 GiB."""
    find_form(path)
    if not path.is_file():
        raise InputError(f"{path} is not a file", hint="name a CSV file with a header, or a JSON file for /invocations")
    if path.stat().st_size > _LARGEST:
        raise InputError(f"{path} is larger than 1 GiB", hint="split the file, or run a batch job on the cluster")
    return path.resolve()


def predict(plan: StagePlan) -> tuple[Predictions | None, Exit]:
    """The last stage: run the model's code on the rows, and write what it answers. None after an earlier failure.

    Raises NotReady if the model fails on the rows.
    """
    (trial,), options = plan.trials, plan.options
    environment, folder, rows, output = trial.environment, trial.folder, options.rows, options.output
    if environment is None or folder is None or rows is None or output is None:
        return None, Exit(trial.code)
    programs = make_programs(trial, plan, folder, environment, plan.workspace / "0")
    content = probes.run_batch(programs, rows, find_form(rows), find_form(output))
    safe_files.write_atomic(output.parent, output.name, content)
    done = Predictions(named=trial.target.named, python=environment.version, output=str(output), walls=plan.walls)
    return done, Exit.DONE
