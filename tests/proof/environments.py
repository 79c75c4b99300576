"""`make environments`: models of several MLflows and Pythons end in few environments, and each answers as pyfunc does.

The plan asks uv and PyPI. Each environment is installed from its lock as its Dockerfile does it, and `m2g smoke` serves
every model with it. The outcome is environments-outcome.json, which docs/reference/environments-proved.md shows.
`python -m tests.proof.environments 3.10` does only the models of that Python and keeps the other rows: nothing is
shared across Pythons.

It needs Python 3.10 to 3.13, the network, and half an hour.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from docs._generate import environments
from docs._generate.environments import OUTCOME, Apart, Outcome, Place, Served

from m2g import mlmodel
from m2g.compat.signature import explain_no_answer
from m2g.core.config_types import Config, Platform
from m2g.core.errors import InputError
from m2g.core.model import Mlmodel
from m2g.core.serving_environment import RecordedEnvironment
from m2g.image.environment_plan import Candidate, plan_environments
from m2g.image.lock import lock_for_platforms
from m2g.serving.environments import PROFILES, EnvironmentNeed, describe_need
from tests.proof.pythons import UV, WORK, get_python, make_environment, run_in
from tests.support.machine import whole_seconds

FLEET: Mapping[str, tuple[str, str]] = {
    "mlflow 2.22, Python 3.10": ("3.10", "sklearn-pickle xgboost lightgbm statsmodels typed"),
    "mlflow 3.4, Python 3.11": ("3.11", "sklearn-pickle catboost statsmodels typed agent"),
    "mlflow 3.17, Python 3.12": (
        "3.12",
        "sklearn-pickle sklearn-skops xgboost lightgbm catboost statsmodels prophet onnx typed agent",
    ),
    "mlflow 3.17, Python 3.13": ("3.13", "sklearn-skops lightgbm onnx statsmodels typed agent"),
}
"""Who saves which kinds: MLflow → Python, kinds. The packages are those of requirements/fleet-PYTHON.txt."""
_FILES = ("MLmodel", "requirements.txt", "conda.yaml", "python_env.yaml", "serving_input_example.json")
_PACKAGES = (
    "numpy pandas scipy scikit-learn skops cloudpickle xgboost lightgbm catboost statsmodels prophet pydantic "
    "cmdstanpy onnx onnxruntime"
)
_LAST_FOR_MLSERVER = ("3.10", "3.11", "3.12")


def main(pythons: Sequence[str]) -> int:
    """Save, plan, install, serve, and write the outcome; 1 where an answer is not pyfunc's."""
    config = msgspec.convert(
        {
            "version": 1,
            "environments": {"prod": {"namespace": "models"}},
            "images": {"sharing": {"groups": {"everyone": ["*"]}, "packages": _PACKAGES.split()}},
        },
        Config,
    )
    os.environ["M2G_UV"] = str(UV)
    models = _save(pythons)
    facts = {name: _read(path) for name, path in sorted(models.items())}
    candidates = [_candidate(config, name, known) for name, known in facts.items()]
    start = time.monotonic()
    plan = plan_environments(config, candidates, {}, lambda need: _lock(config, need))
    seconds = round(time.monotonic() - start)
    for left in plan.unplanned:
        sys.exit(f"no environment for {', '.join(left.versions)}: {left.message}")
    served: list[Served] = []
    for one in plan.new:
        environment = _install(one.recorded)
        profile = PROFILES[one.recorded.environment.server]
        for version in one.versions:
            name = version.rpartition("/")[0]
            logger, _, kind = name.partition(": ")
            answer = _serve(environment, models[name], profile)
            print(f"{one.recorded.id}  {name}: {answer or 'as pyfunc'}", file=sys.stderr)
            served.append(Served(logger, kind, one.recorded.id, answer, facts[name]))
        shutil.rmtree(environment)
    outcome = Outcome(
        seconds=seconds,
        environments=tuple(_place(one.recorded) for one in plan.new),
        models=tuple(sorted(served, key=lambda one: (one.logger, one.kind))),
        apart=tuple(Apart(models=_names(one.versions), others=_names(one.others), why=one.why) for one in plan.apart),
    )
    if pythons:
        outcome = _keep_others(environments.read(), outcome)
    OUTCOME.write_bytes(msgspec.json.format(msgspec.json.encode(outcome), indent=1) + b"\n")
    return int(any(one.answer for one in served))


def _save(pythons: Sequence[str]) -> dict[str, Path]:
    """Name → folder of every model."""
    models: dict[str, Path] = {}
    for logger, (python, kinds) in FLEET.items():
        if pythons and python not in pythons:
            continue
        made, folder = f"fleet-{python}", WORK / f"fleet-models/{python}"
        make_environment(made, get_python(python))
        shutil.rmtree(folder, ignore_errors=True)
        run_in(made, "log_fleet.py", str(folder), *kinds.split())
        models |= {f"{logger}: {kind}": folder / kind / "model" for kind in kinds.split()}
    return models


def _keep_others(before: Outcome, now: Outcome) -> Outcome:
    """The outcome with the rows of the Pythons that were not asked for."""
    done = {one.logger for one in now.models}
    models = (*now.models, *(one for one in before.models if one.logger not in done))
    used = {one.environment for one in models}
    places = {one.id: one for one in (*before.environments, *now.environments) if one.id in used}
    apart = (*now.apart, *(one for one in before.apart if one.models[0].partition(": ")[0] not in done))
    return Outcome(
        seconds=before.seconds,
        environments=tuple(places[name] for name in sorted(places)),
        models=tuple(sorted(models, key=lambda one: (one.logger, one.kind))),
        apart=apart,
    )


def _read(path: Path) -> Mlmodel:
    """What a record keeps of a model."""
    files = {file: (path / file).read_bytes() for file in _FILES if (path / file).is_file()}
    return msgspec.structs.replace(mlmodel.read(files), example="")


def _candidate(config: Config, name: str, facts: Mlmodel) -> Candidate:
    by_mlserver = explain_no_answer(facts) is None and facts.python_version.rpartition(".")[0] in _LAST_FOR_MLSERVER
    need = describe_need(config, name, facts, "mlserver" if by_mlserver else "mlflow")
    return Candidate(model=name, version="1", environments=("prod",), need=need, mlmodel=facts)


def _lock(config: Config, need: EnvironmentNeed) -> str:
    return lock_for_platforms(need.lines, python=need.python, platforms=config.images.platforms)


def _place(recorded: RecordedEnvironment) -> Place:
    environment = recorded.environment
    return Place(
        id=recorded.id,
        python=environment.python,
        server=environment.server,
        packages=len(recorded.packages),
        platforms=_find_platforms(environment.requirements, environment.python),
    )


def _find_platforms(lines: Sequence[str], python: str) -> tuple[Platform, ...]:
    """x86-64, and arm64 if one lock has the same versions for both."""
    try:
        lock_for_platforms(lines, python=python, platforms=("linux/amd64", "linux/arm64"))
    except InputError as error:
        print(f"not for arm64: {error.message}", file=sys.stderr)
        return ("linux/amd64",)
    return ("linux/amd64", "linux/arm64")


def _names(versions: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(version.rpartition("/")[0] for version in versions)


def _install(recorded: RecordedEnvironment) -> Path:
    """The environment, from the lines that its image gets."""
    place, lock = WORK / recorded.id, WORK / f"{recorded.id}.txt"
    lock.write_text(recorded.text)
    python = get_python(recorded.environment.python)
    subprocess.run([UV, "venv", "--quiet", "--clear", "--python", python, place], check=True)
    install = [str(UV), "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    subprocess.run([*install, "--python", str(place / "bin/python"), "-r", str(lock)], check=True)
    return place


def _serve(environment: Path, model: Path, profile: str) -> str:
    """Empty if the model answers as pyfunc does, else what happened."""
    command = [sys.executable, "-m", "m2g", "smoke", "--model-dir", str(model), "--profile", profile]
    command += ["--venv", str(environment), "--requests", "0", "--rest-only", "--timeout", whole_seconds(300)]
    ran = subprocess.run([*command, "--format", "json"], stdout=subprocess.PIPE, check=False)
    (test,) = json.loads(ran.stdout)["tests"]
    if test["passed"]:
        return ""
    problems = [problem for one in test["asked"] for problem in one["problems"]]
    return " ".join(f"{test['problem']} {' '.join(problems)}".split())[:300] or "it does not answer"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
