"""Run a download within bounds: for its bytes, its time, and the memory of the program that downloads."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from m2g.core import process, quantity, tempdirs
from m2g.core.errors import InputError, OutsideError
from m2g.core.model import Value

BYTES, SECONDS = "M2G_DOWNLOAD_LIMIT", "M2G_DOWNLOAD_SECONDS"
"""The variables that change the bounds."""
_DEFAULTS = {BYTES: "20Gi", SECONDS: "3600"}
MEMORY = 4 << 30
"""For MLflow itself: a list of files that never ends is in its memory."""
_LOG_BYTES = 1 << 20
_LEAST = 4096
"""What a file takes on a disk, even if it is empty."""
_PAUSE = 0.2


class Bounds(Value, frozen=True, kw_only=True):
    """How much a download may write, in bytes, and how long it may take, in seconds."""

    size: int
    seconds: float


class Downloaded(Value, frozen=True, kw_only=True):
    """How a download ended. `last` is what it said last."""

    code: int
    last: str


def read_bounds() -> Bounds:
    """The bounds, from the environment. Raises InputError for a variable that is no amount."""
    size, seconds = (_read_amount(name) for name in (BYTES, SECONDS))
    return Bounds(size=size, seconds=seconds)


def run_bounded(arguments: Sequence[str], to: Path, environment: dict[str, str]) -> Downloaded:
    """Run a program that downloads into the folder `to`, where it also runs.

    Raises OutsideError if it leaves the bounds: then it is stopped, and what it wrote is still there.
    """
    bounds = read_bounds()
    with tempdirs.open_folder() as folder:
        log = folder / "log"
        task = process.Task(
            arguments=tuple(arguments),
            cwd=to,
            log=log,
            environment=environment,
            limits=process.Limits(memory=MEMORY, file_bytes=bounds.size, log_bytes=_LOG_BYTES),
        )
        end = time.monotonic() + bounds.seconds
        with process.start(task) as running:
            while (code := running.poll(_PAUSE)) is None:
                _check(to, bounds, late=time.monotonic() > end)
        _check(to, bounds, late=False)
        lines = log.read_bytes().decode(errors="replace").split("\n") if log.exists() else []
    return Downloaded(code=code, last=next((line.strip() for line in reversed(lines) if line.strip()), ""))


def _check(to: Path, bounds: Bounds, *, late: bool) -> None:
    if late:
        raise OutsideError(
            f"the download took more than {bounds.seconds:g} s and was stopped",
            hint=f"if the model is that large, allow more seconds: export {SECONDS}={2 * bounds.seconds:g}",
        )
    if _measure(to) >= bounds.size:
        text, double = (quantity.canonicalize(f"{size >> 10}Ki") for size in (bounds.size, 2 * bounds.size))
        raise OutsideError(
            f"the download is larger than {text} and was stopped",
            hint=f"if the model is that large, allow more bytes: export {BYTES}={double}",
        )


def _measure(folder: Path) -> int:
    """The bytes of all files in a folder."""
    size = 0
    for place, folders, names in os.walk(folder):
        size += _LEAST * len(folders)
        for name in names:
            try:
                size += max(_LEAST, os.lstat(os.path.join(place, name)).st_size)
            except OSError:  # it was renamed in the meantime
                continue
    return size


def _read_amount(name: str) -> int:
    text = os.environ.get(name) or _DEFAULTS[name]
    try:
        amount = int(quantity.parse(text))
    except InputError:
        amount = 0
    if amount < 1:
        raise InputError(f"{name}={text[:40]!r} is not an amount", hint=f"set it like its default: {_DEFAULTS[name]}")
    return amount
