"""`python -m tests.proof.environments FOLDER…`: models end in few environments, and each answers as pyfunc does.

A FOLDER has models as `log_models.py` and `log_fleet.py` save them: KIND/model. The plan asks uv and its index.
Each environment is installed from its lock as its Dockerfile does it, and `m2g smoke` serves every model with it.
It writes docs/reference/environments-proved.md, and needs minutes and the network.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from m2g import mlmodel
from m2g.compat.signature import explain_no_answer
from m2g.core.config_types import Config
from m2g.core.serving_environment import RecordedEnvironment
from m2g.image.environment_plan import Candidate, EnvironmentPlan, plan_environments
from m2g.image.lock import lock_requirements
from m2g.serving.environments import PROFILES, describe_need

ROOT = Path(__file__).parents[2]
UV = ROOT / ".tools/uv-venv/bin/uv"
PAGE = ROOT / "docs/reference/environments-proved.md"
_FILES = ("MLmodel", "requirements.txt", "conda.yaml", "python_env.yaml", "serving_input_example.json")
_PACKAGES = (
    "numpy pandas scipy scikit-learn skops cloudpickle xgboost lightgbm catboost statsmodels prophet pydantic cmdstanpy"
)
_HEAD = """\
<!-- Written by `python -m tests.proof.environments`; do not edit. -->
# Serving environments, proved

MLflow saved these models, `m2g environments plan` found environments for them with uv and PyPI, and each environment
was installed from its lock as its Dockerfile does it. `m2g smoke` then served every model with the environment that it
shares and compared the answers with those of MLflow's pyfunc. It used no Docker engine, so the proof does not cover the
base image and the user.

"""


def main(folders: Sequence[str]) -> int:
    """Plan, install, serve and write the page; 1 where an answer is not pyfunc's."""
    config = msgspec.convert(
        {
            "version": 1,
            "environments": {"prod": {"namespace": "models"}},
            "images": {"sharing": {"groups": {"everyone": ["*"]}, "packages": _PACKAGES.split()}},
        },
        Config,
    )
    models = {f"{Path(folder).name}-{kind.name}": kind / "model" for folder in folders for kind in _kinds(Path(folder))}
    candidates = [_candidate(config, name, path) for name, path in sorted(models.items())]
    start = time.monotonic()
    plan = plan_environments(config, candidates, {}, lambda need: lock_requirements(need.lines, python=need.python))
    seconds = time.monotonic() - start
    rows: list[tuple[str, str, bool, str]] = []
    with tempfile.TemporaryDirectory(prefix="m2g-environments-") as name:
        for number, one in enumerate(plan.new, 1):
            place = _install(Path(name), one.recorded)
            for version in one.versions:
                model = version.rpartition("/")[0]
                passed, problem = _serve(place, models[model], PROFILES[one.recorded.environment.server])
                print(f"{number}  {model}: {'as pyfunc' if passed else problem}", file=sys.stderr)
                rows.append((model, str(number), passed, problem))
    PAGE.write_text(_HEAD + "".join(_write(plan, rows, seconds)))
    return 0 if all(passed for _, _, passed, _ in rows) else 1


def _kinds(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.iterdir()) if (path / "model/MLmodel").is_file())


def _candidate(config: Config, name: str, path: Path) -> Candidate:
    files = {file: (path / file).read_bytes() for file in _FILES if (path / file).is_file()}
    facts = mlmodel.read(files)
    server = "mlserver" if explain_no_answer(facts) is None and facts.python_version < "3.13" else "mlflow"
    need = describe_need(config, name, facts, "mlserver" if server == "mlserver" else "mlflow")
    return Candidate(model=name, version="1", environments=("prod",), need=need, mlmodel=facts)


def _install(folder: Path, recorded: RecordedEnvironment) -> Path:
    """The environment, from the lines that its image gets."""
    place, lock = folder / recorded.id, folder / f"{recorded.id}.txt"
    lock.write_text(recorded.text)
    subprocess.run([UV, "venv", "--quiet", "--python", recorded.environment.python, place], check=True)
    install = [str(UV), "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    subprocess.run([*install, "--python", str(place / "bin/python"), "-r", str(lock)], check=True)
    return place


def _serve(environment: Path, model: Path, profile: str) -> tuple[bool, str]:
    command = [sys.executable, "-m", "m2g", "smoke", "--model-dir", str(model), "--profile", profile]
    ran = subprocess.run(
        [
            *command,
            "--venv",
            str(environment),
            "--requests",
            "0",
            "--rest-only",
            "--timeout",
            "300",
            "--format",
            "json",
        ],
        stdout=subprocess.PIPE,
        check=False,
        env={**os.environ, "M2G_UV": str(UV)},
    )
    test = json.loads(ran.stdout)["tests"][0]
    problems = [problem for api in test["apis"] for problem in api["problems"]] if "apis" in test else []
    return bool(test["passed"]), " ".join(f"{test['problem']} {' '.join(problems)}".split())[:200]


def _write(plan: EnvironmentPlan, rows: Sequence[tuple[str, str, bool, str]], seconds: float) -> Iterator[str]:
    yield f"{len(rows)} models, {len(plan.new)} environments; the plan took {seconds:.0f} s.\n\n"
    yield "| | Python | server | packages | models |\n|---|---|---|---|---|\n"
    for index, new in enumerate(plan.new, 1):
        environment = new.recorded.environment
        cells = (index, environment.python, environment.server, len(new.recorded.packages), len(new.versions))
        yield "| " + " | ".join(map(str, cells)) + " |\n"
    yield "\n| model | environment | answers as pyfunc |\n|---|---|---|\n"
    for model, number, passed, problem in sorted(rows):
        yield f"| {model} | {number} | {'yes' if passed else f'no: {problem}'.replace('|', '/')} |\n"
    if plan.apart:
        yield "\nWhat keeps them apart:\n\n"
        for one in plan.apart:
            yield f"- {', '.join(one.versions[:3])} and {', '.join(one.others[:3])}: `{one.why[:200]}`\n"
    for left in plan.unplanned:
        yield f"\n{', '.join(left.versions)}: no environment ({left.message[:300]})\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
