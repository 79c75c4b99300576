"""What smoke tests stand on: saved models, the command, and who is still running."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
SERVERS = ROOT / ".venv-mlserver"


def models(folder: Path, *names: str) -> Path:
    """The models of tests/smoke/zoo.py, all or those."""
    script = str(Path(__file__).with_name("zoo.py"))
    subprocess.run([str(SERVERS / "bin/python"), script, str(folder), *names], capture_output=True, check=True)
    return folder


def smoke(
    *arguments: str, cache: Path | None = None, before: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    """`m2g smoke`, with a PATH that has no uv."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    if cache is not None:
        environment["M2G_CACHE_DIR"] = str(cache)
    return subprocess.run(
        ["m2g", "smoke", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
        env=environment,
        preexec_fn=before,
    )


def started_by(place: Path) -> list[int]:
    """The processes, but m2g itself, whose arguments or environment name a folder in `place`."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            said = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:
            continue
        if f"{place}/m2g-smoke-".encode() in said:
            found.append(int(entry.name))
    return found
