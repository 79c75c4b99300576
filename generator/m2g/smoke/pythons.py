"""The Pythons of this machine: this one, those on PATH, of pyenv and of uv."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

from m2g.core import process
from m2g.core.errors import InputError, OutsideError


def nearest(model: str, wanted: str, newest: str) -> tuple[Path, str, tuple[str, ...]]:
    """An interpreter of the model's minor version, or the nearest that there is up to `newest`, with the reason.

    Raises InputError for a Python that no server has, OutsideError where there is none.
    """
    if newest and _pair(wanted) > _pair(newest):
        raise InputError(
            f"{model} was logged with Python {wanted}; its server has {newest} at most",
            hint="log it again with an older Python, or --profile mlflow-image",
        )
    there = found(wanted)
    if there is not None:
        return *there, ()
    others = [f"3.{minor}" for minor in range(9, 15) if not newest or minor <= _pair(newest)[1]]
    for minor in sorted(others, key=lambda other: abs(_pair(other)[1] - _pair(wanted)[1])):
        there = found(minor)
        if there is not None:
            why = f"Python {wanted}, with which the model was logged, is not on this machine: took {there[1]}"
            return *there, (f"{why}; an image would have {wanted}" if wanted else why,)
    raise OutsideError(
        f"no Python for {model} was found; it needs {wanted}",
        hint=f"install python{wanted} (on PATH, by uv python install or pyenv), or name an environment: --environment",
    )


def found(minor: str) -> tuple[Path, str] | None:
    """An interpreter of a minor version such as 3.11, and its whole version; None where this machine has none."""
    if not minor:
        return None
    places = [Path(sys.executable)] if minor == f"{sys.version_info[0]}.{sys.version_info[1]}" else []
    on_path = shutil.which(f"python{minor}")
    places += [Path(on_path)] if on_path else []
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    places += sorted(pyenv.glob(f"versions/{minor}.*/bin/python"), reverse=True)
    uv = shutil.which(os.environ.get("M2G_UV") or "uv")
    if uv:
        ran = process.run([uv, "python", "find", minor], environment={"UV_PYTHON_DOWNLOADS": "never"})
        places += [Path(ran.stdout.decode(errors="replace").strip())] if ran.code == 0 else []
    for place in places:
        version = version_of(place)
        if version and version.startswith(f"{minor}."):
            return place, version
    return None


def version_of(python: Path) -> str:
    """The version that an interpreter says; empty where it does not start (a shim of pyenv without a version)."""
    try:
        ran = process.run([str(python), "-I", "-c", "import platform; print(platform.python_version())"], timeout=60)
    except OutsideError:
        return ""
    return ran.stdout.decode(errors="replace").strip() if ran.code == 0 else ""


def _pair(minor: str) -> tuple[int, int]:
    parts = re.match(r"([0-9]+)\.([0-9]+)", minor)
    return (int(parts[1]), int(parts[2])) if parts else (3, 11)
