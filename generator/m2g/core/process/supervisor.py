"""Run a command until stdin is closed, then stop it and its children. A script that `m2g.core.process.start` starts.

    python supervisor.py <log> <folder or ''> <command>…

Only m2g has the other end of the pipe, so it is closed even if m2g is killed. If m2g did not write `end` before, the
folder is incomplete and is removed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

_GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL."""
_DEATH_SIGNAL, _SUBREAPER = 1, 36


def _control(option: int, value: int) -> None:
    """prctl. Only Linux has it; on other systems the process group must suffice."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _left() -> list[int]:
    """The child processes, including orphans that left the process group."""
    with contextlib.suppress(OSError), open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
        return [int(pid) for pid in file.read().split()]
    return []


def _end(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(_GRACE)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    deadline = time.monotonic() + _GRACE
    while (left := _left()) and time.monotonic() < deadline:
        for pid in left:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def main() -> None:
    """Run until the pipe is closed. Write the command's exit code to stdout as soon as it ends."""
    log, folder, *command = sys.argv[1:]
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    _control(_SUBREAPER, 1)

    def die_with_me() -> None:
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, signal.SIG_DFL)
        _control(_DEATH_SIGNAL, signal.SIGKILL)

    with open(log, "ab") as out:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            preexec_fn=die_with_me,  # noqa: PLW1509  # this process has one thread here
        )

    def report_exit_code() -> None:
        with contextlib.suppress(OSError):
            os.write(1, f"{child.wait()}\n".encode())

    threading.Thread(target=report_exit_code, daemon=True).start()
    orderly = sys.stdin.buffer.read() == b"end\n"
    _end(child)
    if folder and not orderly:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
