"""The one way to start a program: an argument list, a time limit, a typed error; never a shell."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from m2g.errors import OutsideError


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """How a program ended. `stderr` is text for a person."""

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
) -> Ran:
    """Run a program to its end; any exit code is an answer.

    `timeout` is in seconds; `environment` is laid over this process's own.
    Raises OutsideError where the program is missing or does not end in time.
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
        raise OutsideError(f"{name} is not installed or not on PATH", hint=f"install {name} and try again") from error
    except OSError as error:
        raise OutsideError(f"{name} cannot be started: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise OutsideError(f"{name} did not end within {timeout:g} s and was stopped") from error
    return Ran(code=done.returncode, stdout=done.stdout, stderr=done.stderr.decode(errors="replace").strip())
