"""Run a command until stdin ends, then end it with all that it started. A script; `m2g.core.process.held` starts it.

    python supervisor.py <log> <folder or ''> <command>…

The pipe is held by m2g alone, so that it closes however m2g ends. Where m2g did not say `end` before, the folder, which
is half done then, is removed.
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
"""Seconds that the command has after SIGTERM."""
_DEATH_SIGNAL, _SUBREAPER = 1, 36


def _control(option: int, value: int) -> None:
    """Linux alone has it; elsewhere the process group has to do."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _left() -> list[int]:
    """The children, among them what lost its parent and went out of the process group."""
    with contextlib.suppress(OSError), open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]
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
        for one in left:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(one, signal.SIGKILL)
                os.waitpid(one, 0)


def main() -> None:
    """Until the pipe ends. The command's exit code goes to stdout as soon as there is one."""
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

    def tell() -> None:
        with contextlib.suppress(OSError):
            os.write(1, f"{child.wait()}\n".encode())

    threading.Thread(target=tell, daemon=True).start()
    orderly = sys.stdin.buffer.read() == b"end\n"
    _end(child)
    if folder and not orderly:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
