"""Download the files of a model version with MLflow's own command, which knows all stores and their credentials."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from m2g.core import process
from m2g.core.errors import OutsideError
from m2g.core.model import Value
from m2g.core.redact import redact

_SECONDS = 3600.0
_HINT = "download the model yourself and pass --model-dir DIR"


class ModelDownload(Value, frozen=True, kw_only=True):
    """A version to download. `python` is an interpreter with MLflow; None means the mlflow on PATH or next to m2g."""

    name: str
    number: str
    python: Path | None = None


def download_version(wanted: ModelDownload, tracking_uri: str, to: Path, *, root: Path) -> Path:
    """Download a version into `to`, and return the folder that contains its MLmodel.

    A relative tracking URI is relative to `root`. Raises OutsideError if MLflow is missing or fails.
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
        last = (ran.stderr.splitlines() or ["it gave no reason"])[-1]
        message = f"mlflow cannot download version {number} of {name!r}: {redact(last)[:500]}"
        raise OutsideError(message, hint=_HINT)
    return found[0].parent


def has_mlflow() -> bool:
    """Whether the mlflow command is installed, on PATH or next to m2g."""
    return bool(_find_mlflow())


def _find_mlflow() -> str:
    beside = Path(sys.executable).parent / "mlflow"
    return shutil.which("mlflow") or (str(beside) if beside.is_file() else "")


def _program(wanted: ModelDownload) -> list[str]:
    if wanted.python is not None:
        return [str(wanted.python), "-m", "mlflow"]
    program = _find_mlflow()
    if not program:
        hint = f"install it (python -m pip install mlflow), or {_HINT}"
        raise OutsideError("mlflow is not installed; m2g needs it to download the model's files", hint=hint)
    return [os.path.abspath(program)]
