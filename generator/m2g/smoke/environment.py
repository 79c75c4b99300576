"""Python environments for models: built once for a Python and its requirements, cached, and used under a lock.

An environment is complete only if its seal has the digest of everything in it. The seal is beside the environment, is
written last, and is compared before each use. So m2g rebuilds what a killed run left, and what somebody changed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from m2g.core import cache
from m2g.core.errors import InputError, OutsideError
from m2g.core.model import Value
from m2g.smoke.install import SPACE_HINT, EnvironmentSpec, Installer
from m2g.smoke.pythons import find_nearest, find_python
from m2g.smoke.seal import digest_folder

_KEPT = 8
"""How many environments are kept, by last use. Each has some hundred MB."""
_SEAL = ".seal"
_VERSION = re.compile(r"^version(?:_info)?\s*=\s*(\d+\.\d+\.\d+)", re.MULTILINE)


class Environment(Value, frozen=True, kw_only=True):
    """An environment's Python, its version, and notes for the user. `seal` is its digest; a given one has none."""

    python: Path
    version: str
    notes: tuple[str, ...] = ()
    seal: str = ""


def existing_environment(path: Path) -> Environment:
    """The environment in a directory. Nothing of it runs here. Raises InputError if there is none."""
    python = path / "bin/python"
    if not python.is_file():
        raise InputError(
            f"{path} is not a Python environment: it has no bin/python",
            hint=f"create one (python -m venv {shlex.quote(str(path))}), or remove --venv",
        )
    return Environment(python=Path(os.path.abspath(python)), version=_read_version(path))


def _read_version(path: Path) -> str:
    """The version of Python that an environment says it has; `?` if it does not say it."""
    with contextlib.suppress(OSError):
        found = _VERSION.search((path / "pyvenv.cfg").read_text(errors="replace"))
        return found[1] if found else "?"
    conda = sorted(path.glob("conda-meta/python-3*.json"))
    return conda[0].name.split("-")[1] if conda else "?"


def check_seal(environment: Environment) -> None:
    """Raise OutsideError if an environment that m2g built is not as m2g built it."""
    folder = environment.python.parent.parent
    if environment.seal and _digest(folder) != environment.seal:
        raise OutsideError(
            f"the environment {folder} was changed after m2g built it",
            hint="run m2g smoke again: it builds the environment again",
        )


@contextlib.contextmanager
def open_environment(spec: EnvironmentSpec, notify: Callable[[str], None]) -> Iterator[Environment]:
    """Yield the environment from the cache, or build it. Nobody removes it during the block.

    The lock survives `process.become`, so that the environment stays until the last stage ends.
    Raises InputError if the requirements cannot be installed, OutsideError if the index, the disk or Python fails.
    """
    python, version, notes = _find_python(spec)
    cache_dir = _cache_folder()
    parts = [str(python), version, *spec.lines, *(f"-c {line}" for line in spec.constraints)]
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:20]
    folder = cache_dir / key
    with _open_lock(cache_dir, key) as lock:
        os.set_inheritable(lock, True)
        _acquire(lock, fcntl.LOCK_SH, notify)  # no other run prunes the environment while this one holds the lock
        while not (seal := _find_seal(folder)):
            _acquire(lock, fcntl.LOCK_EX, notify)
            if not _find_seal(folder):  # another run may have built it while this one waited
                changed = " again, because somebody changed it" if folder.exists() and _seal(folder).exists() else ""
                notify(f"building the environment of {spec.model} (Python {version}, only once){changed} …")
                _build(spec, python, folder)
            _acquire(lock, fcntl.LOCK_SH, notify)
        _seal(folder).touch()
        _prune(cache_dir, key)
        yield Environment(python=folder / "bin/python", version=version, notes=notes, seal=seal)


def _seal(folder: Path) -> Path:
    return folder.with_name(folder.name + _SEAL)


def _find_seal(folder: Path) -> str:
    """The digest of a complete environment that nobody changed; empty for any other."""
    with contextlib.suppress(OSError):
        digest = _seal(folder).read_text(encoding="ascii", errors="replace")
        return digest if digest and digest == _digest(folder) else ""
    return ""


def _digest(folder: Path) -> str:
    try:
        return digest_folder(folder)
    except OSError:
        return ""


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
    hint = "set M2G_CACHE_DIR to a directory that you may write to, or use your own environment: --venv PATH"
    base = cache.find_folder()
    if base is None:
        raise OutsideError("there is no cache folder: this user has no home directory", hint=hint)
    folder = Path(os.path.abspath(base)) / "environments"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
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
    try:
        Installer(spec, python, folder).install()
        _seal(folder).write_text(digest_folder(folder), encoding="ascii")
    except BaseException as error:
        _remove(folder)
        if isinstance(error, OSError):
            message = f"the environment {folder} cannot be sealed: {error.strerror}"
            raise OutsideError(message, hint=SPACE_HINT) from error
        raise


def _prune(cache_dir: Path, key: str) -> None:
    """Remove the environments that were not used for the longest time, except those in use; first those without a
    seal, which an older m2g made or a killed one left."""
    ages = {}
    for folder in cache_dir.iterdir():
        if folder.is_dir():
            with contextlib.suppress(OSError):
                seal = _seal(folder)
                ages[folder] = seal.stat().st_mtime if seal.exists() else 0.0
    newest = sorted(ages, key=lambda folder: ages[folder], reverse=True)
    for folder in newest[_KEPT:]:
        if folder.name == key:
            continue
        with _open_lock(cache_dir, folder.name) as handle, contextlib.suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(folder)


def _remove(folder: Path) -> None:
    """Remove the seal first, so that a half removed environment is not complete."""
    _seal(folder).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
