"""Start a container's first process: python -I enter.py SPEC.json, run by container.py in namespaces of its own.

The root file system is read-only, except /tmp, as a Pod with `readOnlyRootFilesystem` and an emptyDir has it. Network
is a loopback that nobody else is on. The process has the image's user, command, variables and folder, is the first in
its PID namespace, and can get no more rights.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

_NO_NEW_PRIVILEGES = 38
_DEVICES = ("null", "zero", "full", "random", "urandom")


def _mount(*words: str | Path) -> None:
    subprocess.run(["mount", *words], check=True)


def main(spec: dict[str, Any]) -> None:
    """Never returns."""
    root = Path(spec["root"])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    _mount("--make-rprivate", "/")
    _mount("--bind", root, root)
    (root / "dev").mkdir(exist_ok=True)
    _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", root / "dev")
    for name in _DEVICES:
        (root / "dev" / name).touch()
        _mount("--bind", f"/dev/{name}", root / "dev" / name)
    (root / "dev/shm").mkdir()
    _mount("-t", "tmpfs", "tmpfs", root / "dev/shm")
    _mount("-t", "proc", "proc", root / "proc")
    _mount("-t", "tmpfs", "-o", "mode=1777", "tmpfs", root / "tmp")
    for source, place in spec["volumes"].items():
        target = root / place.lstrip("/")
        target.mkdir(parents=True, exist_ok=True)
        _mount("--bind", source, target)
        _mount("-o", "remount,bind,ro", target)
    _mount("-o", "remount,bind,ro", root)
    library = ctypes.CDLL(None)
    os.chroot(root)
    os.chdir(spec["folder"])
    os.setgroups([])
    os.setresgid(*[int(spec["group"])] * 3)
    os.setresuid(*[int(spec["user"])] * 3)
    library.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    os.execvpe(spec["command"][0], spec["command"], spec["env"])


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
