"""Every Python of a test run, the tests' own and those they start: no network but loopback, no write to the checkout.

Python imports it at its start (PYTHONPATH, set by tests/conftest.py). M2G_TESTS_WRITE=1 (`make golden`) allows writing.
"""

import errno
import ipaddress
import os
import socket
import sys

_ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../.."))
_ANYTIME = (".git", ".venv", ".venv-mlflow2", ".tools", "__pycache__")
_WRITES = {
    # event: where its arguments have the path, and the descriptor of the folder that the path is relative to
    "os.mkdir": (0, 2),
    "os.remove": (0, 1),
    "os.rename": (1, 3),
    "os.rmdir": (0, 1),
    "os.symlink": (1, 2),
    "os.link": (1, 3),
}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def _loopback(host: object) -> bool:
    text = host.decode() if isinstance(host, bytes) else host
    if text is None or text in ("", "localhost", "localhost.localdomain", "ip6-localhost"):
        return True
    try:
        address = ipaddress.ip_address(str(text).split("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _in_checkout(path: object) -> bool:
    full = os.path.abspath(os.fsdecode(path)) if isinstance(path, (str, bytes, os.PathLike)) else ""
    if not full.startswith(_ROOT + os.sep):
        return False
    parts = full[len(_ROOT) + 1 :].split(os.sep)
    return not any(part in _ANYTIME or part.endswith("_cache") or part.startswith("pytest-cache-") for part in parts)


def _written(event: str, arguments: tuple[object, ...]) -> object:
    """The path that an audit event writes to; None for all other events."""
    if event == "open":
        path, mode, flags = arguments
        if not isinstance(path, (str, bytes)) or not isinstance(flags, int) or not flags & _WRITING:
            return None
        return path if mode is not None or os.path.isabs(path) else None  # os.open may be relative to a descriptor
    if event == "sqlite3.connect":
        database = str(arguments[0])
        return database.removeprefix("file:").split("?")[0] if ":memory:" not in database else None
    place = _WRITES.get(event)
    return arguments[place[0]] if place and arguments[place[1]] == -1 else None


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        if isinstance(address, tuple) and address and not _loopback(address[0]):
            raise OSError(errno.ENETUNREACH, f"tests are offline: {address[0]}")
    elif event in ("socket.getaddrinfo", "socket.gethostbyname") and not _loopback(arguments[0]):
        raise socket.gaierror(socket.EAI_NONAME, f"tests are offline: {arguments[0]!r}")
    elif (event in ("open", "sqlite3.connect") or event in _WRITES) and "M2G_TESTS_WRITE" not in os.environ:
        path = _written(event, arguments)
        if path is not None and _in_checkout(path):
            raise PermissionError(errno.EACCES, "tests do not write to the checkout", path)


sys.addaudithook(_watch)
