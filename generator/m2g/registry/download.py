"""The files of one model version, by MLflow's own command: it knows the stores and their credentials."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from m2g.core import process
from m2g.core.errors import OutsideError
from m2g.core.model import Value
from m2g.core.sanitize import hide_passwords

_SECONDS = 3600.0
_HINT = "download it yourself and name the folder: --model-dir DIR"


class ModelDownload(Value, frozen=True, kw_only=True):
    """A version of a registered model. `python` is one that has MLflow; None for the mlflow on PATH or beside m2g."""

    name: str
    number: str
    python: Path | None = None


def download_version(wanted: ModelDownload, tracking_uri: str, to: Path, *, root: Path) -> Path:
    """The folder below `to` with the files of a version; a relative tracking URI starts at `root`.

    Raises OutsideError where MLflow is missing or fails.
    """
    name, number = wanted.name, wanted.number
    ran = process.run(
        [*_program(wanted), "artifacts", "download", f"--artifact-uri=models:/{name}/{number}", f"--dst-path={to}"],
        cwd=root,
        timeout=_SECONDS,
        environment={"MLFLOW_TRACKING_URI": tracking_uri, "MLFLOW_DISABLE_TELEMETRY": "true"},
    )
    found = sorted(to.rglob("MLmodel"), key=lambda path: len(path.parts))
    if ran.code != 0 or not found:
        last = (ran.stderr.splitlines() or ["it did not say why"])[-1]
        words = f"mlflow cannot download version {number} of {name!r}: {hide_passwords(last)[:500]}"
        raise OutsideError(words, hint=_HINT)
    return found[0].parent


def has_mlflow() -> bool:
    """Whether this machine has an mlflow of its own, on PATH or beside m2g."""
    return bool(_own())


def _own() -> str:
    beside = Path(sys.executable).parent / "mlflow"
    return shutil.which("mlflow") or (str(beside) if beside.is_file() else "")


def _program(wanted: ModelDownload) -> list[str]:
    if wanted.python is not None:
        return [str(wanted.python), "-m", "mlflow"]
    program = _own()
    if not program:
        hint = f"python -m pip install mlflow; or {_HINT}"
        raise OutsideError("mlflow is not installed; it downloads the model's files", hint=hint)
    return [os.path.abspath(program)]
