"""The Python interpreters on this machine: the current one, those on PATH, and those of pyenv and uv."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from m2g.core import process
from m2g.core.errors import InputError, OutsideError
from m2g.image.package_index import installer_environment


def find_nearest(model: str, wanted: str, newest: str) -> tuple[Path, str, tuple[str, ...]]:
    """An interpreter of the model's minor version, or the nearest one up to `newest` with a note that says so.

    Raises InputError if the server does not support the model's Python, OutsideError if no interpreter fits.
    """
    if newest and _pair(wanted) > _pair(newest):
        raise InputError(
            f"{model} was logged with Python {wanted}, but its server supports Python {newest} and older",
            hint="log the model again with an older Python, or use MLflow's own server: --profile mlflow-image",
        )
    python = find_python(wanted)
    if python is not None:
        return *python, ()
    others = [f"3.{minor}" for minor in range(9, 15) if not newest or minor <= _pair(newest)[1]]
    for minor in sorted(others, key=lambda other: abs(_pair(other)[1] - _pair(wanted)[1])):
        python = find_python(minor)
        if python is None:
            continue
        if not wanted:
            return *python, (f"the model does not say its Python version: m2g used {python[1]}",)
        note = f"the model was logged with Python {wanted}, which is not on this machine: m2g used {python[1]}"
        return *python, (f"{note}; an image would have {wanted}",)
    raise OutsideError(
        f"there is no Python on this machine for {model}, which needs {wanted or 'Python 3'}",
        hint=f"install it (uv python install {wanted or '3.12'}), or use your own environment: --venv PATH",
    )


def find_python(minor: str) -> tuple[Path, str] | None:
    """An interpreter of a minor version such as 3.11, and its full version; None if this machine has none."""
    if not minor:
        return None
    candidates = [Path(sys.executable)] if minor == f"{sys.version_info[0]}.{sys.version_info[1]}" else []
    on_path = process.find_program(f"python{minor}")
    candidates += [Path(on_path)] if on_path else []
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    candidates += sorted(pyenv.glob(f"versions/{minor}.*/bin/python"), reverse=True)
    uv = process.find_program(os.environ.get("M2G_UV") or "uv")
    if uv:
        ran = process.run([uv, "--no-config", "python", "find", minor], environment=installer_environment())
        candidates += [Path(ran.stdout.decode(errors="replace").strip())] if ran.code == 0 else []
    for python in candidates:
        version = read_version(python)
        if version and version.startswith(f"{minor}."):
            return python, version
    return None


def read_version(python: Path) -> str:
    """The interpreter's version; empty if it does not start (such as a pyenv shim without a version)."""
    try:
        ran = process.run([str(python), "-I", "-c", "import platform; print(platform.python_version())"], timeout=60)
    except OutsideError:
        return ""
    return ran.stdout.decode(errors="replace").strip() if ran.code == 0 else ""


def _pair(minor: str) -> tuple[int, int]:
    parts = re.match(r"([0-9]+)\.([0-9]+)", minor)
    return (int(parts[1]), int(parts[2])) if parts else (3, 11)
