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
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from m2g import tools
from m2g.errors import InputError, M2gError, OutsideError
from m2g.model import Value
from m2g.prose import visible, without_password

_KEPT = 8
"""So many are kept, those that were used last; each has some hundred MB."""
_MARKER = ".m2g-complete"
_FULL = re.compile(r"No space left|Disk quota exceeded|File too large|os error 28|Errno 28|Errno 27", re.IGNORECASE)
_MISSING = re.compile(r"No matching distribution found for ([^\s(]+)|Because ([A-Za-z0-9._-]+) was not found")
_UNREACHABLE = re.compile(r"Failed to fetch|error sending request|Connection refused|Name or service|dns error")


class Order(Value, frozen=True, kw_only=True):
    """What an environment must have. `python` is a minor version such as 3.11, the model's; `newest` a server's."""

    model: str
    python: str
    lines: tuple[str, ...]
    indexes: tuple[str, ...] = ()
    newest: str = ""
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
    return Environment(python=Path(os.path.abspath(python)), version=_version(python) or "?")


@contextlib.contextmanager
def made(order: Order, tell: Callable[[str], None]) -> Iterator[Environment]:
    """The environment of an order, for the time of the block; taken from the cache, or made.

    Raises InputError for requirements that cannot be installed, OutsideError for index, disk and Python.
    """
    python, version, notes = _python(order)
    cache = _cache()
    key = hashlib.sha256("\n".join([version, *order.indexes, *order.lines]).encode()).hexdigest()[:20]
    folder = cache / key
    with _locked(cache, key, fcntl.LOCK_EX, tell) as lock:
        # A cache that came from another machine may lack the Python below it.
        if not (folder / _MARKER).is_file() or _version(folder / "bin/python") != version:
            tell(f"making the environment of {order.model} (Python {version}, once) …")
            _make(order, python, folder)
        (folder / _MARKER).touch()
        fcntl.flock(lock, fcntl.LOCK_SH)
        _prune(cache, key)
        yield Environment(python=folder / "bin/python", version=version, notes=notes)


def _cache() -> Path:
    named, shared = os.environ.get("M2G_CACHE_DIR", ""), os.environ.get("XDG_CACHE_HOME", "")
    base = Path(named) if named else Path(shared) / "m2g" if shared else Path.home() / ".cache/m2g"
    folder = Path(os.path.abspath(base)) / "environments"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        hint = "set M2G_CACHE_DIR to a folder that you may write to, or name an environment: --environment PATH"
        raise OutsideError(f"the cache {folder} cannot be made: {error.strerror}", hint=hint) from error
    return folder


@contextlib.contextmanager
def _locked(cache: Path, key: str, kind: int, tell: Callable[[str], None]) -> Iterator[int]:
    handle = os.open(cache / f"{key}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if (cache / key / _MARKER).is_file():  # somebody uses it: that is no reason to wait
                fcntl.flock(handle, fcntl.LOCK_SH)
            else:
                tell("another m2g makes this environment; waiting for it …")
                fcntl.flock(handle, kind)
        yield handle
    finally:
        os.close(handle)


def _make(order: Order, python: Path, folder: Path) -> None:
    _remove(folder)
    log = folder.with_suffix(".log")
    log.unlink(missing_ok=True)
    lines = folder.with_suffix(".txt")
    uv = shutil.which(os.environ.get("M2G_UV") or "uv")
    try:
        lines.write_text("".join(f"{line}\n" for line in (*order.indexes, *order.lines)), encoding="utf-8")
        if uv:
            steps = [
                [uv, "venv", "--quiet", "--python", str(python), str(folder)],
                [uv, "pip", "install", "--no-progress", "--python", str(folder / "bin/python"), "-r", str(lines)],
            ]
        else:
            pip = [str(folder / "bin/python"), "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
            steps = [
                [str(python), "-m", "venv", "--clear", str(folder)],
                [*pip, "--progress-bar", "off", "--prefer-binary", "-r", str(lines)],
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
        log.unlink(missing_ok=True)


_SPACE = "make room there, or set M2G_CACHE_DIR to a folder on another disk; --environment PATH takes one that exists"


def _step(order: Order, command: Sequence[str], folder: Path, log: Path) -> None:
    environment = {**os.environ, "UV_PYTHON_DOWNLOADS": "never", "PYTHONNOUSERSITE": "1"}
    for name in ("PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "CONDA_PREFIX"):
        environment.pop(name, None)
    with tools.held(command, cwd=folder.parent, log=log, environment=environment, remove=folder) as running:
        code = running.ended(order.seconds)
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
        last = visible((words.strip().splitlines() or ["it did not say why"])[-1], 500)
        return OutsideError(f"no environment for {order.model} can be made in {folder.parent}: {last}", hint=_SPACE)
    missing = _MISSING.search(words)
    lines = [line.strip() for line in words.splitlines() if line.strip() and not line.startswith("WARNING")]
    told = next((line for line in reversed(lines) if "ERROR" in line or "error" in line), lines[-1] if lines else "?")
    last = visible(without_password(told.removeprefix("ERROR: ")), 500)
    if _UNREACHABLE.search(words) or "NewConnectionError" in words:
        hint = "check the network and the index (PIP_INDEX_URL, UV_INDEX_URL); or --environment PATH"
        return OutsideError(f"the packages of {order.model} cannot be fetched: {last}", hint=hint)
    what = f"the requirement {missing[1] or missing[2]} of {order.model}" if missing else f"what {order.model} requires"
    return InputError(
        f"{what} cannot be installed: {last}",
        hint="log the model again with pip_requirements that can be installed, or name an environment that has them: "
        "--environment PATH",
    )


def _prune(cache: Path, key: str) -> None:
    """Remove those that were not used for the longest time, unless somebody uses them."""
    complete = sorted(cache.glob(f"*/{_MARKER}"), key=lambda path: path.stat().st_mtime, reverse=True)
    for marker in complete[_KEPT:]:
        folder = marker.parent
        if folder.name == key:
            continue
        handle = os.open(cache / f"{folder.name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            _remove(folder)
        finally:
            os.close(handle)


def _remove(folder: Path) -> None:
    """The marker first, so that what is half removed does not count."""
    (folder / _MARKER).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _python(order: Order) -> tuple[Path, str, tuple[str, ...]]:
    """An interpreter of the model's minor version, or the nearest that there is, with the reason."""
    wanted = order.python
    if order.newest and _pair(wanted) > _pair(order.newest):
        raise InputError(
            f"{order.model} was logged with Python {wanted}; its server has {order.newest} at most",
            hint="log it again with an older Python, or --profile mlflow-image",
        )
    found = _found(wanted)
    if found is not None:
        return found[0], found[1], ()
    others = [f"3.{minor}" for minor in range(9, 15) if not order.newest or minor <= _pair(order.newest)[1]]
    for minor in sorted(others, key=lambda other: abs(_pair(other)[1] - _pair(wanted)[1])):
        found = _found(minor)
        if found is not None:
            why = f"Python {wanted}, with which the model was logged, is not on this machine: took {found[1]}"
            return found[0], found[1], (f"{why}; an image would have {wanted}" if wanted else why,)
    raise OutsideError(
        f"no Python for {order.model} was found; it needs {wanted}",
        hint=f"install python{wanted} (on PATH, by uv python install or pyenv), or name an environment: --environment",
    )


def _found(minor: str) -> tuple[Path, str] | None:
    if not minor:
        return None
    places = [Path(sys.executable)] if minor == f"{sys.version_info[0]}.{sys.version_info[1]}" else []
    on_path = shutil.which(f"python{minor}")
    places += [Path(on_path)] if on_path else []
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    places += sorted(pyenv.glob(f"versions/{minor}.*/bin/python"), reverse=True)
    uv = shutil.which(os.environ.get("M2G_UV") or "uv")
    if uv:
        ran = tools.run([uv, "python", "find", minor], environment={"UV_PYTHON_DOWNLOADS": "never"})
        places += [Path(ran.stdout.decode(errors="replace").strip())] if ran.code == 0 else []
    for place in places:
        version = _version(place)
        if version and version.startswith(f"{minor}."):
            return place, version
    return None


def _version(python: Path) -> str:
    """The version that an interpreter says; empty where it does not start (a shim of pyenv without a version)."""
    try:
        ran = tools.run([str(python), "-I", "-c", "import platform; print(platform.python_version())"], timeout=60)
    except OutsideError:
        return ""
    return ran.stdout.decode(errors="replace").strip() if ran.code == 0 else ""


def _pair(minor: str) -> tuple[int, int]:
    found = re.match(r"([0-9]+)\.([0-9]+)", minor)
    return (int(found[1]), int(found[2])) if found else (3, 11)
