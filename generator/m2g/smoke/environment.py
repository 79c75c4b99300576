"""Python environments for models: built once for a Python and its requirements, cached, and used under a lock.

A directory is complete only if it has the marker file, which is written last. m2g rebuilds what a killed run left.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from m2g.core import cache, process
from m2g.core.errors import InputError, M2gError, OutsideError
from m2g.core.model import Value
from m2g.core.redact import redact
from m2g.core.sanitize import make_visible
from m2g.smoke.pythons import find_nearest, find_python, read_version

_KEPT = 8
"""How many environments are kept, by last use. Each has some hundred MB."""
_MARKER = ".m2g-complete"
_FULL = re.compile(r"No space left|Disk quota exceeded|File too large|os error 28|Errno 28|Errno 27", re.IGNORECASE)
_MISSING = re.compile(r"No matching distribution found for ([^\s(]+)|Because ([A-Za-z0-9._-]+) was not found")
_UNREACHABLE = re.compile(r"Failed to fetch|error sending request|Connection refused|Name or service|dns error")


class EnvironmentSpec(Value, frozen=True, kw_only=True):
    """What an environment must have.

    `python` is the model's minor version, such as 3.11; `newest` the newest minor version that the server supports.
    `runtime` names the runtime that the environment copies: then no other Python is acceptable.
    """

    model: str
    python: str
    lines: tuple[str, ...]
    indexes: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    newest: str = ""
    runtime: str = ""
    seconds: float = 1800.0


class Environment(Value, frozen=True, kw_only=True):
    """An environment's Python, its version, and notes for the user."""

    python: Path
    version: str
    notes: tuple[str, ...] = ()


def existing_environment(path: Path) -> Environment:
    """The environment in a directory. Raises InputError if there is none."""
    python = path / "bin/python"
    if not python.is_file():
        raise InputError(
            f"{path} is not a Python environment: it has no bin/python",
            hint=f"create one (python -m venv {shlex.quote(str(path))}), or remove --environment",
        )
    return Environment(python=Path(os.path.abspath(python)), version=read_version(python) or "?")


@contextlib.contextmanager
def open_environment(spec: EnvironmentSpec, notify: Callable[[str], None]) -> Iterator[Environment]:
    """Yield the environment from the cache, or build it. Nobody removes it during the block.

    Raises InputError if the requirements cannot be installed, OutsideError if the index, the disk or Python fails.
    """
    python, version, notes = _find_python(spec)
    cache_dir = _cache_folder()
    parts = [version, *spec.indexes, *spec.lines, *(f"-c {line}" for line in spec.constraints)]
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:20]
    folder = cache_dir / key
    with _open_lock(cache_dir, key) as lock:
        _acquire(lock, fcntl.LOCK_SH, notify)  # no other run prunes the environment while this one holds the lock
        while not _is_complete(folder, version):
            _acquire(lock, fcntl.LOCK_EX, notify)
            if not _is_complete(folder, version):  # another run may have built it while this one waited
                notify(f"building the environment of {spec.model} (Python {version}, only once) …")
                _build(spec, python, folder)
            _acquire(lock, fcntl.LOCK_SH, notify)
        (folder / _MARKER).touch()
        _prune(cache_dir, key)
        yield Environment(python=folder / "bin/python", version=version, notes=notes)


def _is_complete(folder: Path, version: str) -> bool:
    """Whether the environment works: in a cache from another machine, its Python may be missing."""
    return (folder / _MARKER).is_file() and read_version(folder / "bin/python") == version


def _find_python(spec: EnvironmentSpec) -> tuple[Path, str, tuple[str, ...]]:
    if not spec.runtime:
        return find_nearest(spec.model, spec.python, spec.newest)
    python = find_python(spec.python)
    if python is None:
        raise OutsideError(
            f"{spec.runtime} has Python {spec.python}, which is not on this machine",
            hint=f"install it (uv python install {spec.python}), or use the model's packages: --packages model",
        )
    return python[0], python[1], ()


def _cache_folder() -> Path:
    hint = "set M2G_CACHE_DIR to a directory that you may write to, or use your own environment: --environment PATH"
    base = cache.find_folder()
    if base is None:
        raise OutsideError("there is no cache folder: this user has no home directory", hint=hint)
    folder = Path(os.path.abspath(base)) / "environments"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutsideError(f"the cache {folder} cannot be created: {error.strerror}", hint=hint) from error
    return folder


@contextlib.contextmanager
def _open_lock(cache_dir: Path, key: str) -> Iterator[int]:
    """The lock file of an environment. Closing it releases the lock."""
    handle = os.open(cache_dir / f"{key}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield handle
    finally:
        os.close(handle)


def _acquire(handle: int, kind: int, notify: Callable[[str], None]) -> None:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        notify("another m2g builds this environment; waiting until it is done …")
        fcntl.flock(handle, kind)


def _build(spec: EnvironmentSpec, python: Path, folder: Path) -> None:
    _remove(folder)
    log = folder.with_suffix(".log")
    log.unlink(missing_ok=True)
    requirements, constraints = folder.with_suffix(".txt"), folder.with_suffix(".constraints.txt")
    uv = shutil.which(os.environ.get("M2G_UV") or "uv")
    try:
        requirements.write_text("".join(f"{line}\n" for line in (*spec.indexes, *spec.lines)), encoding="utf-8")
        constraints.write_text("".join(f"{line}\n" for line in spec.constraints), encoding="utf-8")
        files = ["-r", str(requirements), "-c", str(constraints)]
        if uv:
            steps = [
                [uv, "venv", "--quiet", "--python", str(python), str(folder)],
                [uv, "pip", "install", "--no-progress", "--python", str(folder / "bin/python"), *files],
            ]
        else:
            pip = [str(folder / "bin/python"), "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
            steps = [
                [str(python), "-m", "venv", "--clear", str(folder)],
                [*pip, "--progress-bar", "off", "--prefer-binary", *files],
            ]
        for step in steps:
            _run(spec, step, folder, log)
        (folder / _MARKER).write_text("", encoding="utf-8")
    except BaseException as error:
        _remove(folder)
        if isinstance(error, OSError):
            raise OutsideError(
                f"the environment of {spec.model} cannot be built: {error.strerror} ({folder})", hint=_SPACE
            ) from error
        raise
    finally:
        requirements.unlink(missing_ok=True)
        constraints.unlink(missing_ok=True)
        log.unlink(missing_ok=True)


_SPACE = (
    "free disk space there, set M2G_CACHE_DIR to a directory on another disk, or use your own environment: "
    "--environment PATH"
)


def _run(spec: EnvironmentSpec, command: Sequence[str], folder: Path, log: Path) -> None:
    environment = {**os.environ, "UV_PYTHON_DOWNLOADS": "never", "PYTHONNOUSERSITE": "1"}
    for name in ("PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "CONDA_PREFIX"):
        environment.pop(name, None)
    with process.start(command, cwd=folder.parent, log=log, environment=environment, remove=folder) as running:
        code = running.poll(spec.seconds)
    if code is None:
        raise OutsideError(
            f"the environment of {spec.model} was not built within {spec.seconds:g} s",
            hint="try again if the package index was slow, or use your own environment: --environment PATH",
        )
    if code:
        raise _install_error(spec, log.read_text(errors="replace"), folder)


def _install_error(spec: EnvironmentSpec, output: str, folder: Path) -> M2gError:
    """The installer's error in one sentence that names the model and, if known, the package."""
    if _FULL.search(output):
        return OutsideError(
            f"there is not enough disk space for the environment of {spec.model} in {folder.parent}", hint=_SPACE
        )
    if not (folder / "bin/python").exists() or "ensurepip" in output:
        last = make_visible((output.strip().splitlines() or ["the tool gave no reason"])[-1], 500)
        return OutsideError(f"no environment for {spec.model} can be created in {folder.parent}: {last}", hint=_SPACE)
    missing = _MISSING.search(output)
    lines = [line.strip() for line in output.splitlines() if line.strip() and not line.startswith("WARNING")]
    line = next((line for line in reversed(lines) if "ERROR" in line or "error" in line), lines[-1] if lines else "?")
    reason = make_visible(redact(line.removeprefix("ERROR: ")), 500)
    if _UNREACHABLE.search(output) or "NewConnectionError" in output:
        hint = (
            "check the network and the package index (PIP_INDEX_URL, UV_INDEX_URL), or use your own environment: "
            "--environment PATH"
        )
        return OutsideError(f"the packages of {spec.model} cannot be downloaded: {reason}", hint=hint)
    if missing:
        what = f"the requirement {missing[1] or missing[2]} of {spec.model}"
    else:
        what = f"the requirements of {spec.model}"
    if spec.runtime:
        hint = (
            f"the versions are those of {spec.runtime}; use the model's own: --packages model "
            "(or your own environment: --environment PATH)"
        )
        return InputError(f"{what} cannot be installed in the versions of {spec.runtime}: {reason}", hint=hint)
    return InputError(
        f"{what} cannot be installed: {reason}",
        hint="log the model again with pip_requirements that can be installed, or use an environment that has them: "
        "--environment PATH",
    )


def _prune(cache_dir: Path, key: str) -> None:
    """Remove the environments that were not used for the longest time, except those in use."""
    complete = sorted(cache_dir.glob(f"*/{_MARKER}"), key=lambda path: path.stat().st_mtime, reverse=True)
    for marker in complete[_KEPT:]:
        folder = marker.parent
        if folder.name == key:
            continue
        with _open_lock(cache_dir, folder.name) as handle, contextlib.suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(folder)


def _remove(folder: Path) -> None:
    """Remove the marker first, so that a half removed environment is not complete."""
    (folder / _MARKER).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
