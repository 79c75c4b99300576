"""Run a command until stdin is closed, then stop it and its children. A script that `m2g.core.process.start` starts.

    python supervisor.py '<json>' <command>…

The JSON has `log` (the file for the command's output), `remove` (a folder or ''), `log_bytes`, `memory` (bytes of all
processes together), `processes` (how many) and `file_bytes` (the largest file); 0 is no limit.

Only m2g has the other end of the pipe, so it is closed even if m2g is killed. If m2g did not write `end` before, the
folder is incomplete and is removed.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import platform
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from typing import IO

_GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL."""
_DEATH_SIGNAL, _SUBREAPER, _NO_NEW_RIGHTS = 1, 36, 38
_KEYCTL = {"x86_64": 250, "aarch64": 219, "riscv64": 219, "ppc64le": 271, "s390x": 280}
"""The number of the call on Linux; the C library has no function for it."""
_JOIN_SESSION = 1
_WATCH = 0.5
"""Seconds between two looks at the memory and the number of the processes."""


def _control(option: int, value: int) -> None:
    """prctl. Only Linux has it; on other systems the process group must suffice."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _forget_keys() -> None:
    """Leave the kernel's keyring of the session, which may hold tickets and tokens. See keyrings(7)."""
    if (call := _KEYCTL.get(platform.machine())) is not None:
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).syscall(call, _JOIN_SESSION, None)


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


class _Log:
    """The output of the command, at most `limit` bytes: of a longer one the beginning and the end."""

    def __init__(self, path: str, limit: int) -> None:
        self._file = open(path, "ab+", buffering=0)  # noqa: SIM115  # for as long as this process lives
        self._limit = limit
        self._lock = threading.Lock()

    def copy(self, pipe: IO[bytes] | None) -> None:
        """Copy until the pipe ends. A full disk ends the log, never the command."""
        while pipe is not None and (data := os.read(pipe.fileno(), 1 << 16)):
            self.write(data)

    def write(self, data: bytes) -> None:
        with self._lock, contextlib.suppress(OSError):
            self._file.write(data)
            if self._limit and self._file.tell() > self._limit:
                self._shorten()

    def _shorten(self) -> None:
        quarter = self._limit // 4
        self._file.seek(0)
        first = self._file.read(quarter)
        self._file.seek(-quarter, os.SEEK_END)
        last = self._file.read(quarter)
        self._file.truncate(0)
        note = b"\n... m2g left out a part of this log, which is too long ...\n"
        self._file.write(first.partition(note)[0] + note + last)


def _watch(log: _Log, child: subprocess.Popen[bytes], limits: Mapping[str, int]) -> None:
    """Kill the command if its processes together are too many or too large."""
    page = os.sysconf("SC_PAGE_SIZE")
    while child.returncode is None:
        sizes = _measure()
        used = sum(sizes) * page
        problem = ""
        if limits["memory"] and used > limits["memory"]:
            problem = f"it uses {used >> 20} MiB of memory, and may use {limits['memory'] >> 20} MiB"
        elif limits["processes"] and len(sizes) > limits["processes"]:
            problem = f"it has {len(sizes)} processes, and may have {limits['processes']}"
        if problem:
            log.write(f"\nm2g stopped this program: {problem}\n".encode())
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            for pid in _left():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return
        time.sleep(_WATCH)


def _measure() -> list[int]:
    """The pages in memory of each process below this one."""
    parents, pages = {}, {}
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
                parents[int(name)], pages[int(name)] = int(fields[1]), int(fields[21])
    below, wave = [], {os.getpid()}
    while wave := {pid for pid, parent in parents.items() if parent in wave}:
        below += [pages[pid] for pid in wave]
    return below


def main() -> None:
    """Run until the pipe is closed. Write the command's exit code to stdout as soon as it ends."""
    spec, command = json.loads(sys.argv[1]), sys.argv[2:]
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    _control(_SUBREAPER, 1)

    def prepare() -> None:
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, signal.SIG_DFL)
        _control(_DEATH_SIGNAL, signal.SIGKILL)
        _control(_NO_NEW_RIGHTS, 1)
        _forget_keys()
        if spec["file_bytes"]:
            resource.setrlimit(resource.RLIMIT_FSIZE, (spec["file_bytes"],) * 2)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    log = _Log(spec["log"], spec["log_bytes"])
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=prepare,  # noqa: PLW1509  # this process has one thread here
    )
    copying = threading.Thread(target=log.copy, args=(child.stdout,), daemon=True)
    copying.start()

    def report_exit_code() -> None:
        code = child.wait()
        copying.join(_WATCH)  # what the command said last; a child of it may hold the pipe for longer
        with contextlib.suppress(OSError):
            os.write(1, f"{code}\n".encode())

    threading.Thread(target=report_exit_code, daemon=True).start()
    if spec["memory"] or spec["processes"]:
        threading.Thread(target=_watch, args=(log, child, spec), daemon=True).start()
    orderly = sys.stdin.buffer.read() == b"end\n"
    _end(child)
    if spec["remove"] and not orderly:
        shutil.rmtree(spec["remove"], ignore_errors=True)


if __name__ == "__main__":
    main()
