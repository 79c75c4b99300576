"""Environments of models: made once for a Python and requirement lines, kept in the cache folder, used under a lock.

A folder counts only with its marker, which is written last; what a killed run left is made anew.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from m2g.core import cache, process
from m2g.core.errors import InputError, M2gError, OutsideError
from m2g.core.model import Value
from m2g.core.sanitize import hide_passwords, make_visible
from m2g.smoke.pythons import found, nearest, version_of

_KEPT = 8
"""So many are kept, those that were used last; each has some hundred MB."""
_MARKER = ".m2g-complete"
_FULL = re.compile(r"No space left|Disk quota exceeded|File too large|os error 28|Errno 28|Errno 27", re.IGNORECASE)
_MISSING = re.compile(r"No matching distribution found for ([^\s(]+)|Because ([A-Za-z0-9._-]+) was not found")
_UNREACHABLE = re.compile(r"Failed to fetch|error sending request|Connection refused|Name or service|dns error")


class Order(Value, frozen=True, kw_only=True):
    """What an environment must have. `python` is a minor version such as 3.11, the model's; `newest` a server's.

    `runtime` is the name of the runtime that it shall be like: then no other Python will do.
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
    """An environment's own Python, its version, and what a person should know of it."""

    python: Path
    version: str
    notes: tuple[str, ...] = ()


def given(path: Path) -> Environment:
    """An environment that is there already. Raises InputError for a folder that is none."""
    python = path / "bin/python"
    if not python.is_file():
        raise InputError(
            f"{path} is no environment: it has no bin/python",
            hint="python -m venv makes one; or leave --environment out",
        )
    return Environment(python=Path(os.path.abspath(python)), version=version_of(python) or "?")


@contextlib.contextmanager
def made(order: Order, tell: Callable[[str], None]) -> Iterator[Environment]:
    """The environment of an order, for the time of the block; taken from the cache, or made.

    Raises InputError for requirements that cannot be installed, OutsideError for index, disk and Python.
    """
    python, version, notes = _python(order)
    place = _cache()
    asked = [version, *order.indexes, *order.lines, *(f"-c {line}" for line in order.constraints)]
    key = hashlib.sha256("\n".join(asked).encode()).hexdigest()[:20]
    folder = place / key
    with _opened(place, key) as lock:
        _lock(lock, fcntl.LOCK_SH, tell)  # while anybody has it, nobody prunes
        while not _complete(folder, version):
            _lock(lock, fcntl.LOCK_EX, tell)
            if not _complete(folder, version):  # by whom we waited for
                tell(f"making the environment of {order.model} (Python {version}, once) …")
                _make(order, python, folder)
            _lock(lock, fcntl.LOCK_SH, tell)
        (folder / _MARKER).touch()
        _prune(place, key)
        yield Environment(python=folder / "bin/python", version=version, notes=notes)


def _complete(folder: Path, version: str) -> bool:
    """A cache that came from another machine may lack the Python below it."""
    return (folder / _MARKER).is_file() and version_of(folder / "bin/python") == version


def _python(order: Order) -> tuple[Path, str, tuple[str, ...]]:
    if not order.runtime:
        return nearest(order.model, order.python, order.newest)
    there = found(order.python)
    if there is None:
        raise OutsideError(
            f"{order.runtime} has Python {order.python}, which is not on this machine",
            hint=f"install python{order.python} (on PATH, by uv python install or pyenv), or --packages model",
        )
    return there[0], there[1], ()


def _cache() -> Path:
    hint = "set M2G_CACHE_DIR to a folder that you may write to, or name an environment: --environment PATH"
    base = cache.find_folder()
    if base is None:
        raise OutsideError("there is no cache folder: this user has no home", hint=hint)
    folder = Path(os.path.abspath(base)) / "environments"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutsideError(f"the cache {folder} cannot be made: {error.strerror}", hint=hint) from error
    return folder


@contextlib.contextmanager
def _opened(place: Path, key: str) -> Iterator[int]:
    """The file whose lock is an environment's; closing it gives the lock back."""
    handle = os.open(place / f"{key}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield handle
    finally:
        os.close(handle)


def _lock(handle: int, kind: int, tell: Callable[[str], None]) -> None:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        tell("another m2g makes this environment; waiting for it …")
        fcntl.flock(handle, kind)


def _make(order: Order, python: Path, folder: Path) -> None:
    _remove(folder)
    log = folder.with_suffix(".log")
    log.unlink(missing_ok=True)
    lines, bounds = folder.with_suffix(".txt"), folder.with_suffix(".constraints.txt")
    uv = shutil.which(os.environ.get("M2G_UV") or "uv")
    try:
        lines.write_text("".join(f"{line}\n" for line in (*order.indexes, *order.lines)), encoding="utf-8")
        bounds.write_text("".join(f"{line}\n" for line in order.constraints), encoding="utf-8")
        files = ["-r", str(lines), "-c", str(bounds)]
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
            _step(order, step, folder, log)
        (folder / _MARKER).write_text("", encoding="utf-8")
    except BaseException as error:
        _remove(folder)
        if isinstance(error, OSError):
            raise OutsideError(
                f"the environment of {order.model} cannot be made: {error.strerror} ({folder})", hint=_SPACE
            ) from error
        raise
    finally:
        lines.unlink(missing_ok=True)
        bounds.unlink(missing_ok=True)
        log.unlink(missing_ok=True)


_SPACE = "make room there, or set M2G_CACHE_DIR to a folder on another disk; --environment PATH takes one that exists"


def _step(order: Order, command: Sequence[str], folder: Path, log: Path) -> None:
    environment = {**os.environ, "UV_PYTHON_DOWNLOADS": "never", "PYTHONNOUSERSITE": "1"}
    for name in ("PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "CONDA_PREFIX"):
        environment.pop(name, None)
    with process.start(command, cwd=folder.parent, log=log, environment=environment, remove=folder) as running:
        code = running.poll(order.seconds)
    if code is None:
        raise OutsideError(
            f"the environment of {order.model} was not made within {order.seconds:g} s",
            hint="is the index slow? Run it again, or name an environment: --environment PATH",
        )
    if code:
        raise _refusal(order, log.read_text(errors="replace"), folder)


def _refusal(order: Order, words: str, folder: Path) -> M2gError:
    """What the installer said, in one sentence that names the model and, where it is known, the package."""
    if _FULL.search(words):
        return OutsideError(f"there is no room for the environment of {order.model} in {folder.parent}", hint=_SPACE)
    if not (folder / "bin/python").exists() or "ensurepip" in words:
        last = make_visible((words.strip().splitlines() or ["it did not say why"])[-1], 500)
        return OutsideError(f"no environment for {order.model} can be made in {folder.parent}: {last}", hint=_SPACE)
    missing = _MISSING.search(words)
    lines = [line.strip() for line in words.splitlines() if line.strip() and not line.startswith("WARNING")]
    told = next((line for line in reversed(lines) if "ERROR" in line or "error" in line), lines[-1] if lines else "?")
    last = make_visible(hide_passwords(told.removeprefix("ERROR: ")), 500)
    if _UNREACHABLE.search(words) or "NewConnectionError" in words:
        hint = "check the network and the index (PIP_INDEX_URL, UV_INDEX_URL); or --environment PATH"
        return OutsideError(f"the packages of {order.model} cannot be fetched: {last}", hint=hint)
    what = f"the requirement {missing[1] or missing[2]} of {order.model}" if missing else f"what {order.model} requires"
    if order.runtime:
        hint = f"these are versions of {order.runtime}: --packages model takes the model's own, or --environment PATH"
        return InputError(f"{what} cannot be installed as {order.runtime} has it: {last}", hint=hint)
    return InputError(
        f"{what} cannot be installed: {last}",
        hint="log the model again with pip_requirements that can be installed, or name an environment that has them: "
        "--environment PATH",
    )


def _prune(place: Path, key: str) -> None:
    """Remove those that were not used for the longest time, unless somebody uses them."""
    complete = sorted(place.glob(f"*/{_MARKER}"), key=lambda path: path.stat().st_mtime, reverse=True)
    for marker in complete[_KEPT:]:
        folder = marker.parent
        if folder.name == key:
            continue
        with _opened(place, folder.name) as handle, contextlib.suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(folder)


def _remove(folder: Path) -> None:
    """The marker first, so that what is half removed does not count."""
    (folder / _MARKER).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
