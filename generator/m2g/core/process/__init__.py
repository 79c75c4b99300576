"""The one way to start a program: an argument list, a time limit, a typed error, never a shell."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from m2g.core.errors import OutsideError


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

    `timeout` is in seconds; `environment` is added to the environment of this process.
    Raises OutsideError if the program is missing or does not end in time.
    """
    name = arguments[0]
    try:
        done = subprocess.run(
            arguments,
            cwd=cwd,
            input=stdin if stdin is not None else b"",
            capture_output=True,
            timeout=timeout,
            check=False,
            env={**os.environ, **(environment or {})},
        )
    except FileNotFoundError as error:
        raise OutsideError(f"{name} is not installed or not on PATH", hint=f"install {name}, then try again") from error
    except OSError as error:
        raise OutsideError(f"{name} cannot be started: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise OutsideError(f"{name} did not end within {timeout:g} s and was stopped") from error
    return Completed(code=done.returncode, stdout=done.stdout, stderr=done.stderr.decode(errors="replace").strip())


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


@contextlib.contextmanager
def start(
    arguments: Sequence[str], *, cwd: Path, log: Path, environment: Mapping[str, str], remove: Path | None = None
) -> Iterator[Running]:
    """Run a program in the background until the block ends or this process ends, even if it is killed.

    The output goes to `log`. `environment` is the whole environment of the program. `remove` is a folder that is
    incomplete until the block ends: it is removed if this process is killed.
    Raises OutsideError if the program cannot be started.
    """
    supervisor = str(Path(__file__).with_name("supervisor.py"))
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", supervisor, str(log), str(remove or ""), *arguments],
            cwd=cwd,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise OutsideError(f"{arguments[0]} cannot be started: {error.strerror}") from error
    running = Running(process)
    try:
        yield running
    finally:
        running.stop()
