"""The Pythons and the environments that the proofs need, made once from requirements/ with uv."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from m2g.smoke.pythons import find_python

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
WORK = ROOT / ".tools/proof"
UV = ROOT / ".tools/uv-venv/bin/uv"


def get_python(version: str) -> str:
    """An interpreter of a minor version: PYTHON310=…, this one, or one of PATH, pyenv and uv."""
    variable = f"PYTHON{version.replace('.', '')}"
    named = os.environ.get(variable, "")
    found = find_python(version)
    if not named and found is None:
        sys.exit(f"this proof needs Python {version}: put python{version} on PATH, or set {variable}=…")
    return named or str(found[0] if found else "")


def make_environment(name: str, python: str) -> None:
    """An environment from requirements/NAME.txt, once."""
    folder, wanted = WORK / name, HERE / f"requirements/{name}.txt"
    stamp = folder / ".made-from"
    if stamp.is_file() and stamp.read_text() == wanted.read_text():
        return
    print(f"installing {name} …", file=sys.stderr)
    subprocess.run([UV, "venv", "--quiet", "--clear", "--python", python, folder], check=True)
    subprocess.run([UV, "pip", "install", "--quiet", "--python", folder / "bin/python", "-r", wanted], check=True)
    stamp.write_text(wanted.read_text())


def run_in(environment: str, script: str, *arguments: str) -> str:
    """What a script beside this one prints in an environment."""
    print(f"{environment}: {script} …", file=sys.stderr)
    ran = subprocess.run(
        [WORK / environment / "bin/python", HERE / script, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=WORK,  # MLflow makes ./mlruns
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONPATH": ""},
    )
    return ran.stdout
