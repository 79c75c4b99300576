"""The walls around a model's code: what this machine can build, what is missing and why, and what stays visible."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec

from m2g.core import process, tempdirs
from m2g.core.errors import OutsideError
from m2g.core.process.environment import clean_environment
from m2g.core.results import Walls

_SYSTEM = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store"),
    *(f"/etc/{name}" for name in ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "timezone", "passwd")),
    *(
        f"/etc/{name}"
        for name in ("group", "nsswitch.conf", "hosts", "host.conf", "protocols", "services", "mime.types")
    ),
    *(f"/etc/{name}" for name in ("ssl", "pki", "ca-certificates", "alternatives", "fonts", "os-release")),
    *("/sys/devices/system", "/sys/fs/cgroup"),
)
"""The files of the system that a program needs and that hold no secret."""
_PARTS = ("bin", "lib", "lib32", "lib64", "libexec", "share", "include", "ssl", "pyvenv.cfg")
"""What belongs to a Python in its folder, which may be somebody's home folder."""
_SCRATCH_BYTES = 2 << 30
_LIMITS = {"processes": 256, "file_bytes": 2 << 30, "log_bytes": 16 << 20}
_SYSCTLS = (
    ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "kernel.apparmor_restrict_unprivileged_userns=0"),
    ("/proc/sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
    ("/proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces=15000"),
)
"""The settings by which a system forbids namespaces, the value that does, and the assignment that allows them."""
_CONTAINER = (
    "start the container with --security-opt seccomp=unconfined --security-opt apparmor=unconfined "
    "--security-opt systempaths=unconfined, or run m2g smoke outside of a container; for a GitLab runner, write "
    'security_opt = ["seccomp=unconfined", "apparmor=unconfined", "systempaths=unconfined"] below [runners.docker]'
)


def probe_walls() -> Walls:
    """Build all walls around a program that does nothing, and say which of them this machine has."""
    if not sys.platform.startswith("linux"):
        hint = "run m2g smoke on Linux, for example in a container"
        return Walls(limits=False, problem=f"{sys.platform} has no namespaces", hint=hint)
    with tempdirs.open_folder("m2g-walls-") as folder:
        (folder / "root").mkdir()
        scratch = str(folder / "scratch")
        jail = make_jail(folder, read=(), write=(), scratch=scratch)
        spec = msgspec.json.encode(jail).decode()
        command = [*process.jailed("network"), *process.jailed("files", spec), "/bin/sh", "-c", "exit 0"]
        ran = process.run(command, timeout=60)
    if ran.code == 0:
        return Walls(network=True, processes=True, files=True)
    reason = (ran.stderr.splitlines() or [f"exit code {ran.code}"])[-1][:200]
    return Walls(problem=f"this machine allows no namespaces ({reason})", hint=_explain())


def require_walls(walls: Walls) -> None:
    """Raise OutsideError if a wall is missing."""
    if not walls.complete:
        raise OutsideError(f"the model's code cannot be isolated: {walls.problem}", hint=walls.hint)


def _explain() -> str:
    """What to do so that namespaces work."""
    for path, value, assignment in _SYSCTLS:
        with contextlib.suppress(OSError):
            if Path(path).read_text(encoding="ascii").strip() == value:
                return f"allow them until the next start of the machine: sudo sysctl --write {assignment}"
    return _CONTAINER


def make_limits() -> process.Limits:
    """What one program of a model may use: four fifths of the memory, because the rest of the machine needs some."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            total = min(total, int(Path(path).read_text(encoding="ascii")))
    return process.Limits(memory=total // 5 * 4, **_LIMITS)


def make_jail(workspace: Path, *, read: Iterable[Path], write: Iterable[Path], scratch: str) -> process.Jail:
    """The files that a program sees: those of the system, `read` and `write`, and an empty folder to write to."""
    libraries = [Path(folder) for folder in clean_environment().get("LD_LIBRARY_PATH", "").split(os.pathsep) if folder]
    return process.Jail(
        root=str(workspace / "root"),
        cwd=scratch,
        read=(*_SYSTEM, *map(str, libraries), *(os.path.abspath(path) for path in read)),
        write=tuple(map(str, write)),
        scratch=(scratch,),
        scratch_bytes=_SCRATCH_BYTES,
    )


def list_python_files(python: Path) -> list[Path]:
    """The folders of an interpreter: those of its environment, and those of each Python that it is a link to."""
    found = [python.parent.parent]
    for _ in range(40):  # as many links as Linux follows
        if not python.is_symlink():
            break
        python = Path(os.path.normpath(python.parent / os.readlink(python)))
        if python.parent != found[-1] / "bin":
            found.append(python.parent.parent)
    found.append(Path(os.path.realpath(python)).parent.parent)
    return [prefix / part for prefix in dict.fromkeys(found) for part in _PARTS if (prefix / part).exists()]
