"""Programs that run until their block ends, or until whoever started them is gone; their logs are kept."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.support.apiserver import server
from tests.support.machine import seconds
from tests.support.paths import ROOT

_LOGS = ROOT / ".tools/logs"
_KEEP = Path(server.__file__).with_name("keep.py")
_LOOPBACK = "127.0.0.1"


def address() -> str:
    """A free address of loopback, such as `127.0.0.1:4711`."""
    return f"{_LOOPBACK}:{server.free_port()}"


def environment(folder: Path, **more: str) -> dict[str, str]:
    """What a program sees: a home of its own, and little memory."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "GOMEMLIMIT": "600MiB",
        "GOMAXPROCS": "2",
        **more,
    }


@contextlib.contextmanager
def folder(name: str) -> Iterator[Path]:
    """A folder for one program's files; it is gone afterwards."""
    path = Path(tempfile.mkdtemp(prefix=f"m2g-{name}-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def running(name: str, command: list[str], **more: str) -> Iterator[Path]:
    """Run one program; yields its log. The program ends with the block and with this process, however that ends."""
    place = Path(tempfile.mkdtemp(prefix=f"m2g-{name}-"))
    _LOGS.mkdir(parents=True, exist_ok=True)
    keeper = subprocess.Popen(
        [sys.executable, _KEEP, place, f"{name}={json.dumps(command)}"],
        stdin=subprocess.PIPE,
        env=environment(place, **more),
    )
    log = place / f"{name}.log"
    try:
        server.until(log.exists, f"{name} to start")
        yield log
    finally:
        if log.exists():
            shutil.copy(log, _LOGS / log.name)
        assert keeper.stdin is not None
        keeper.stdin.close()
        keeper.wait(seconds(30))


def call(command: list[str], given: str = "", *, code: int = 0, more: Mapping[str, str]) -> str:
    """What a command prints on both streams. It must end with `code`."""
    done = subprocess.run(
        command,
        input=given,
        env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds(300),
        check=False,
    )
    assert done.returncode == code, f"{' '.join(command)}\n{done.stdout}"
    return done.stdout
