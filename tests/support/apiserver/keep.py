"""Run commands until this process's stdin ends, then end them with all that they started, and remove their folder.

    python keep.py <folder> <name>=<command in JSON>…

Whoever starts this holds the other end of the pipe: a test run that is killed closes it, too. A command that ends by
itself leaves its code in `<folder>/ended`.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

_ADDRESSES = 4 << 30
"""Bytes of address space a program may reserve; what it really uses is bounded by GOMEMLIMIT."""


def keep(folder: Path, named: list[str]) -> None:
    """Start each command with its output in `<folder>/<name>.log`; return when stdin ends."""
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESSES, _ADDRESSES))
    started: dict[str, subprocess.Popen[bytes]] = {}
    for one in named:
        name, _, command = one.partition("=")
        with (folder / f"{name}.log").open("wb") as log:
            started[name] = subprocess.Popen(
                json.loads(command), cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
    while not select.select([sys.stdin], [], [], 0.2)[0]:
        for name, process in started.items():
            if process.poll() is not None:
                (folder / "ended").write_text(f"{name} ended with code {process.returncode}")


if __name__ == "__main__":
    os.setsid()
    place = Path(sys.argv[1])
    try:
        keep(place, sys.argv[2:])
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with contextlib.suppress(OSError):
            os.killpg(0, signal.SIGTERM)
        shutil.rmtree(place, ignore_errors=True)
        os.killpg(0, signal.SIGKILL)
