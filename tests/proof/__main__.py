"""`make proof`: save models with several MLflows, load and ask each in the runtimes' environments, record the outcome.

`make proof` does all of them; `python -m tests.proof KIND…` does only some kinds and keeps the other rows.

`m2g smoke` is asked, too: it must say of KServe's newest MLServer what its library did.

Takes minutes and the network the first time (uv, PyPI); the quick tests read what it wrote: outcome.json.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from m2g import mlmodel
from tests.proof.pythons import HERE, UV, WORK, get_python, make_environment, run_in

_FILES = ("MLmodel", "requirements.txt", "conda.yaml", "python_env.yaml", "serving_input_example.json")
LOGGERS: dict[str, tuple[str, str]] = {
    "mlflow 2.19, Python 3.10": ("mlserver-1.7.1", "3.10"),
    "mlflow 2.22, Python 3.11": ("mlflow-2.22", "3.11"),
    "mlflow 3.17, Python 3.11": ("mlflow-3.17", "3.11"),
}
"""Who saves the models: the environment and its Python."""
RUNTIMES: dict[str, tuple[str, str, str, str]] = {
    "kserve-mlserver-1.7.1": ("mlserver-1.7.1", "3.10", "ask_mlserver.py", "0.21"),
    "kserve-mlserver-1.5.0": ("mlserver-1.5.0", "3.10", "ask_mlserver.py", "0.15"),
    "kserve-sklearnserver-0.20": ("sklearnserver-0.20", "3.11", "ask_file.py", "0.20"),
    "kserve-xgbserver-0.20": ("xgbserver-0.20", "3.11", "ask_file.py", "0.20"),
}
"""Which runtime is emulated by which environment: its packages are those of the runtime's description."""


def main(kinds: Sequence[str]) -> int:
    """Everything anew but the environments; with names of kinds, only their rows."""
    pythons = {version: get_python(version) for version in ("3.10", "3.11")}
    for name, version in {*((name, version) for name, version, *_ in RUNTIMES.values()), *LOGGERS.values()}:
        make_environment(name, pythons[version])
    models = WORK / "models"
    shutil.rmtree(models, ignore_errors=True)
    rows: list[dict[str, object]] = []
    for logger, (environment, _) in LOGGERS.items():
        folder = models / environment
        run_in(environment, "log_models.py", str(folder), *kinds)
        saved = sorted(path for path in folder.iterdir() if (path / "request.json").is_file())
        outcomes = {
            runtime: json.loads(run_in(name, script, *map(str, saved)).splitlines()[-1])
            for runtime, (name, _, script, _) in RUNTIMES.items()
        }
        rows += ({**row(logger, kind, outcomes), "smoke": smoked(kind)} for kind in saved)
    known = json.loads((HERE / "outcome.json").read_text())["rows"] if kinds else []
    rows += (one for one in known if one["kind"] not in kinds)
    write(sorted(rows, key=lambda one: (str(one["logger"]), str(one["kind"]))))
    return 0


def row(logger: str, kind: Path, outcomes: dict[str, dict[str, dict[str, str]]]) -> dict[str, object]:
    """One model: what a record keeps of it, and what each runtime did with it."""
    files = {name: (kind / "model" / name).read_bytes() for name in _FILES if (kind / "model" / name).is_file()}
    facts = msgspec.structs.replace(mlmodel.read(files), example="")
    seen = {
        runtime: {**found[kind.name], "error": _error(found[kind.name]["error"])} for runtime, found in outcomes.items()
    }
    return {"logger": logger, "kind": kind.name, "mlmodel": msgspec.to_builtins(facts), "outcomes": seen}


def smoked(kind: Path) -> str:
    """What `m2g smoke` says of the model in the packages of KServe's newest MLServer: served as pyfunc says, or not."""
    print(f"m2g smoke: {kind.name} …", file=sys.stderr)
    command = ["m2g", "smoke", "--model-dir", str(kind / "model"), "--profile", "mlserver", "--packages", "runtime"]
    path = f"{os.environ['PATH']}{os.pathsep}{Path(get_python('3.10')).parent}"
    ran = subprocess.run(
        [*command, "--requests", "0", "--rest-only", "--format", "json"],
        stdout=subprocess.PIPE,
        check=False,
        cwd=WORK,
        env={**os.environ, "PATH": path, "M2G_UV": str(UV), "M2G_CACHE_DIR": str(WORK / "cache")},
    )
    test = json.loads(ran.stdout)["tests"][0]
    if ran.returncode > 1 or test["packages"] != "runtime":
        sys.exit(f"m2g smoke did not come to an answer: {test['problem']} {test['hint']}")
    return "serves" if test["passed"] else "fails"


def write(rows: list[dict[str, object]]) -> None:
    """The record that the quick tests and the documentation read."""
    (HERE / "outcome.json").write_text(
        json.dumps({"kserve": {name: made[3] for name, made in RUNTIMES.items()}, "rows": rows}, indent=1) + "\n"
    )


def _error(text: str) -> str:
    """The first line, without folders of this machine."""
    line = text.partition("\n")[0]
    return " ".join(word.rpartition("/")[2] if word.startswith(("/", "'/")) else word for word in line.split())[:160]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
