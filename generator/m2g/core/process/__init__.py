"""The one way to start a program: an argument list, a time limit, a typed error, never a shell."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NoReturn

import msgspec

from m2g.core.errors import OutsideError
from m2g.core.process.environment import clean_environment, find_path

_INTERRUPTS = (signal.SIGINT, signal.SIGTERM)
_SUBREAPER = 36
_GRACE = 5.0
"""Seconds to wait until orphans are gone."""


class Completed(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a program that ended. `stderr` is text for the user."""

    code: int
    stdout: bytes
    stderr: str


def run(
    arguments: Sequence[str],
    *,
    cwd: Path | None = None,
    stdin: bytes | None = None,
    timeout: float = 120,
    environment: Mapping[str, str] | None = None,
) -> Completed:
    """Run a program to its end. A non-zero exit code is not an error here.

    `timeout` is in seconds. `environment` is the whole environment of the program, `clean_environment()` if there is
    none. Without `cwd` it runs in the root folder, so that it reads nothing from the repository by accident.
    Raises OutsideError if the program is missing or does not end in time.
    """
    name = arguments[0]
    try:
        done = subprocess.run(
            [find_program(name) or name, *arguments[1:]],
            cwd=cwd or os.sep,
            input=stdin if stdin is not None else b"",
            capture_output=True,
            timeout=timeout,
            check=False,
            env=clean_environment() if environment is None else dict(environment),
        )
    except FileNotFoundError as error:
        raise OutsideError(f"{name} is not installed or not on PATH", hint=f"install {name}, then try again") from error
    except OSError as error:
        raise OutsideError(f"{name} cannot be started: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise OutsideError(f"{name} did not end within {timeout:g} s and was stopped") from error
    return Completed(code=done.returncode, stdout=done.stdout, stderr=done.stderr.decode(errors="replace").strip())


def run_apart(arguments: Sequence[str], *, cwd: Path, timeout: float, environment: Mapping[str, str]) -> Completed:
    """Run a program to its end in a session of its own: signals for m2g do not reach it. Its stderr is that of m2g.

    After `timeout` seconds it and its children get SIGTERM, and SIGKILL a little later. Raises OutsideError.
    """
    try:
        process = subprocess.Popen(
            list(arguments),
            cwd=cwd,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise OutsideError(f"{arguments[0]} cannot be started: {error.strerror}") from error
    with process:
        try:
            stdout, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            for number, patience in ((signal.SIGTERM, _GRACE), (signal.SIGKILL, None)):
                with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                    os.killpg(process.pid, number)
                    process.wait(patience)
            raise OutsideError(f"{arguments[0]} did not end within {timeout:g} s and was stopped") from None
    return Completed(code=process.returncode, stdout=stdout, stderr="")


def find_program(name: str) -> str:
    """The absolute path of a program in an absolute folder of PATH, or of a named one; empty if there is none."""
    path = shutil.which(name, path=find_path(os.environ))
    return os.path.abspath(path) if path else ""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a program and its children may use together, in bytes; 0 is no limit. Of a longer log the middle is lost."""

    memory: int = 0
    processes: int = 0
    file_bytes: int = 0
    log_bytes: int = 0


class Jail(msgspec.Struct, frozen=True, kw_only=True):
    """The files that a program sees; see jail.py."""

    root: str
    cwd: str
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    scratch: tuple[str, ...] = ()
    scratch_bytes: int = 0


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A program that runs in the background.

    The output goes to `log`. `environment` is the whole environment of the program. `remove` is a folder that is
    incomplete until the program was stopped: it is removed if this process is killed.
    """

    arguments: tuple[str, ...]
    cwd: Path
    log: Path
    environment: Mapping[str, str]
    remove: Path | None = None
    limits: Limits = Limits()
    jail: Jail | None = None


class Running:
    """A program that `start` started."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._code: int | None = None

    def poll(self, within: float = 0) -> int | None:
        """Wait up to so many seconds for the exit code; None while the program runs."""
        out = self._process.stdout
        if self._code is None and out is not None and select.select([out], [], [], within)[0]:
            text = os.read(out.fileno(), 32).strip()
            self._code = int(text) if text else -signal.SIGKILL
        return self._code

    def stop(self) -> None:
        """Stop the program and all its child processes, and wait until they are gone."""
        pipe = self._process.stdin
        if pipe is not None and not pipe.closed:
            with contextlib.suppress(OSError):
                pipe.write(b"end\n")
                pipe.close()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


_running: set[int] = set()
"""The supervisors of this process."""


@contextlib.contextmanager
def start(task: Task) -> Iterator[Running]:
    """Run a program in the background until the block ends or this process ends, even if it is killed.

    Raises OutsideError if the program cannot be started.
    """
    arguments = list(task.arguments)
    if task.jail is not None:
        arguments = [*jailed("files", msgspec.json.encode(task.jail).decode()), *arguments]
    names = {"log": str(task.log), "remove": str(task.remove or "")}
    spec = msgspec.json.encode(names | msgspec.structs.asdict(task.limits)).decode()
    adopt_orphans()
    others = _list_children()
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", str(Path(__file__).with_name("supervisor.py")), spec, *arguments],
            cwd=task.cwd,
            env=dict(task.environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise OutsideError(f"{arguments[0]} cannot be started: {error.strerror}") from error
    running = Running(process)
    _running.add(process.pid)
    try:
        yield running
    finally:
        running.stop()
        _running.discard(process.pid)
        _end_orphans(others)


def jailed(kind: Literal["network", "files"], spec: str = "{}") -> tuple[str, ...]:
    """The beginning of a command that runs the rest of it behind walls; see jail.py."""
    return (sys.executable, "-I", str(Path(__file__).with_name("jail.py")), kind, spec)


def become(arguments: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Replace this process by a program with this environment alone. Nothing of the old one is in memory or in /proc.

    SIGINT and SIGTERM wait until the program calls `accept_signals`. Raises OutsideError if it cannot be started.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _INTERRUPTS)
    try:
        os.execve(arguments[0], list(arguments), dict(environment))  # noqa: S606  # never a shell
    except OSError as error:
        accept_signals()
        raise OutsideError(f"{arguments[0]} cannot be started: {error.strerror}") from error


def accept_signals() -> None:
    """Let the signals arrive that `become` held back."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _INTERRUPTS)


def adopt_orphans() -> None:
    """Become the parent of what a program leaves behind if it kills its supervisor. Only Linux has it."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def _end_orphans(others: Collection[int]) -> None:
    """Kill the child processes that no supervisor owns and that were not there before, and those that they leave.

    So `run` must not be used in another thread while programs are started by `start`.
    """
    deadline = time.monotonic() + _GRACE
    while (left := _list_children() - _running - set(others)) and time.monotonic() < deadline:
        for pid in left:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def _list_children() -> set[int]:
    found: set[int] = set()
    for children in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found |= {int(pid) for pid in children.read_text().split()}
    return found
