"""Run a command behind walls that the kernel keeps, without root. A script that m2g starts with `python -I`.

    python -I jail.py network '{}' <command>…     no network but a loopback of its own
    python -I jail.py files '<json>' <command>…   a file system of its own, its own processes, no way to other rights

The JSON of `files`: `root` is an empty folder, `read` and `write` are paths that the command sees where they are,
`scratch` are folders that are empty and writable, `cwd` is where it runs, `scratch_bytes` is how much it may write.
Everything else does not exist for the command. If a wall cannot be built, nothing is started and the exit code is 125.

Both use namespaces, see namespaces(7). It must run on Python 3.11, which has no os.unshare.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import resource
import signal
import socket
import struct
import sys
from typing import NoReturn

FAILED = 125
_NEW_FILES, _NEW_USER, _NEW_PROCESSES = 0x00020000, 0x10000000, 0x20000000
_NEW_NETWORK, _NEW_IPC, _NEW_NAME = 0x40000000, 0x08000000, 0x04000000
_READ_ONLY, _NO_SET_ID, _NO_DEVICES, _NO_PROGRAMS = 1, 2, 4, 8
_BIND, _RECURSIVE, _PRIVATE = 4096, 16384, 1 << 18
_DETACH = 2
_AT_FDCWD, _AT_RECURSIVE, _SYS_MOUNT_SETATTR = -100, 0x8000, 442
_DEATH_SIGNAL, _DROP_CAPABILITY, _NO_NEW_RIGHTS = 1, 24, 38
_SET_FLAGS, _UP_AND_RUNNING = 0x8914, 0x41
_DEVICES = ("null", "zero", "full", "random", "urandom")
_MOST_TASKS = 2048

_libc = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """The kernel does not build a wall."""


def _check(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise Refused(f"{what}: {os.strerror(code)} ({errno.errorcode.get(code, code)})")


def _unshare(flags: int) -> None:
    """Enter new namespaces, with the same user and group as before."""
    user, group = os.geteuid(), os.getegid()
    _check(_libc.unshare(_NEW_USER | flags), "unshare")
    try:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
    except OSError as error:
        raise Refused(f"/proc/self/uid_map: {error.strerror} ({errno.errorcode.get(error.errno or 0)})") from error


def _start_loopback() -> None:
    try:
        with socket.socket() as any_socket:
            request = struct.pack("16sh14x", b"lo", _UP_AND_RUNNING)
            fcntl.ioctl(any_socket, _SET_FLAGS, request)
    except OSError as error:
        raise Refused(f"loopback: {error.strerror}") from error


def _mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    names = [part.encode() or None for part in (source, target, kind)]
    _check(_libc.mount(*names, ctypes.c_ulong(flags), options.encode() or None), f"mount {target}")


def _freeze(target: str) -> None:
    """Make a mount and all below it read-only, whatever flags they have."""
    attributes = struct.pack("QQQQ", _READ_ONLY | _NO_SET_ID, 0, 0, 0)
    call = [_SYS_MOUNT_SETATTR, _AT_FDCWD, target.encode(), _AT_RECURSIVE, attributes, len(attributes)]
    _check(_libc.syscall(*call), f"mount_setattr {target}")


def _show(root: str, path: str, *, writable: bool = False) -> None:
    """Make a path visible below the new root. A link is copied, and what it leads to is shown, too."""
    target = root + path
    if os.path.lexists(target):
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.islink(path):
        os.symlink(os.readlink(path), target)
        _show(root, os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path))))
        return
    if os.path.isdir(path):
        os.mkdir(target)
    elif os.path.exists(path):
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o600))
    else:
        return
    _mount(path, target, flags=_BIND | _RECURSIVE)
    if not writable:
        _freeze(target)


def _build(spec: dict[str, object]) -> None:
    """Build the file system of the command, and make it the root."""
    root, size = str(spec["root"]), f"size={spec['scratch_bytes']}"
    scratch, reads, writes = (list(map(str, spec[name])) for name in ("scratch", "read", "write"))  # type: ignore[call-overload]
    plain = _NO_SET_ID | _NO_DEVICES
    _mount("none", "/", flags=_RECURSIVE | _PRIVATE)
    _mount("tmpfs", root, "tmpfs", plain, "size=16m,mode=755")
    for folder in ("/tmp", "/dev/shm"):  # noqa: S108  # they are new and empty
        os.makedirs(root + folder)
        _mount("tmpfs", root + folder, "tmpfs", plain, f"{size},mode=1777")
    for name in _DEVICES:
        _show(root, f"/dev/{name}", writable=True)
    os.symlink("/proc/self/fd", f"{root}/dev/fd")
    os.mkdir(f"{root}/proc")
    _mount("proc", f"{root}/proc", "proc", plain | _NO_PROGRAMS)
    with contextlib.suppress(OSError), open(f"{root}/proc/sys/user/max_user_namespaces", "w", encoding="ascii") as file:
        file.write("0")  # so that the command cannot get rights in a namespace of its own
    _freeze(f"{root}/proc")
    for path in sorted(reads, key=lambda path: (os.path.islink(path), path)):
        _show(root, path)
    for path in writes:
        _show(root, path, writable=True)
    for path in scratch:
        os.makedirs(root + path, exist_ok=True)
        _mount("tmpfs", root + path, "tmpfs", plain, f"{size},mode=700")
    os.makedirs(f"{root}/.old")
    _check(_libc.pivot_root(root.encode(), f"{root}/.old".encode()), "pivot_root")
    os.chdir(str(spec["cwd"]))
    _check(_libc.umount2(b"/.old", _DETACH), "umount")
    os.rmdir("/.old")
    _freeze_root()


def _freeze_root() -> None:
    """The root itself, not what is mounted below it."""
    attributes = struct.pack("QQQQ", _READ_ONLY, 0, 0, 0)
    _check(_libc.syscall(_SYS_MOUNT_SETATTR, _AT_FDCWD, b"/", 0, attributes, len(attributes)), "mount_setattr /")


def _drop_rights() -> None:
    for capability in range(64):
        _libc.prctl(_DROP_CAPABILITY, capability, 0, 0, 0)
    _check(_libc.prctl(_NO_NEW_RIGHTS, 1, 0, 0, 0), "prctl")
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NPROC, (_MOST_TASKS, _MOST_TASKS))


def _execute(command: list[str]) -> NoReturn:
    try:
        os.execvp(command[0], command)  # noqa: S606  # never a shell
    except OSError as error:
        raise Refused(f"{command[0]}: {error.strerror}") from error


def _run_as_first(spec: dict[str, object], command: list[str], report: int) -> NoReturn:
    """Be the first process of the namespace: when it ends, the kernel ends all others."""
    _libc.prctl(_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    _build(spec)
    child = os.fork()
    if child == 0:
        try:
            os.close(report)
            _drop_rights()
            _execute(command)
        except Refused as error:
            _fail(error)
    while True:
        ended, status = os.wait()
        if ended == child:
            os.write(report, f"{status}\n".encode())
            os._exit(0)


def _fail(error: Exception) -> NoReturn:
    os.write(2, f"{error}\n".encode())
    os._exit(FAILED)


def _wait(first: int, pipe: int) -> int:
    """The wait status of the command; that of the first process if there is none."""
    with open(pipe, "rb") as file:
        text = file.read().strip()
    _, status = os.waitpid(first, 0)
    return int(text) if text else status


def main() -> None:
    """Build the walls, run the command, and end as it ends."""
    kind, text, *command = sys.argv[1:]
    try:
        if kind == "network":
            if os.geteuid() != 0 or _libc.unshare(_NEW_NETWORK) != 0:  # root keeps its access to files of others
                _unshare(_NEW_NETWORK)
            _start_loopback()
            _execute(command)
        _unshare(_NEW_FILES | _NEW_PROCESSES | _NEW_IPC | _NEW_NAME)
        _libc.prctl(_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
        end, report = os.pipe()
        first = os.fork()
        if first == 0:
            os.close(end)
            _run_as_first(json.loads(text), command, report)
        os.close(report)
        status = _wait(first, end)
    except (Refused, OSError) as error:
        _fail(error)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with contextlib.suppress(OSError):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    main()
