"""Temporary folders and files: the one way to make them; where there is no place for any, that is said."""

from __future__ import annotations

import contextlib
import errno
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from m2g.core.errors import OutsideError

_FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS))


class NoSpace(OutsideError):
    """No temporary folder can be written, or it is full."""


def describe_no_space(error: OSError, what: str = "a temporary file cannot be written") -> NoSpace:
    """What is said where the temporary folder gives no room, or not what was written."""
    try:
        place = tempfile.gettempdir()
    except OSError:
        hint = "set TMPDIR to a folder that can be written; in a read-only container, mount one at /tmp"
        return NoSpace(f"{what}: there is no temporary folder with room", hint=hint)
    hint = "free space there, or set TMPDIR to a folder that has some; the tree is as it was"
    return NoSpace(f"{what} in {place}: {error.strerror or error}", hint=hint)


def create_folder(prefix: str = "m2g-") -> Path:
    """A new folder, which the caller removes. Raises NoRoom."""
    try:
        return Path(tempfile.mkdtemp(prefix=prefix))
    except OSError as error:
        raise describe_no_space(error) from error


@contextlib.contextmanager
def open_folder(prefix: str = "m2g-") -> Iterator[Path]:
    """A new folder, as a path without links, that is removed at the end of the block.

    Raises NoRoom where there is no place for one, and for a full disk in the block.
    """
    try:
        owned = tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True)
    except OSError as error:
        raise describe_no_space(error) from error
    with owned as name:
        try:
            yield Path(name).resolve()
        except OSError as error:
            if error.errno not in _FULL or not str(error.filename or name).startswith(name):
                raise
            raise describe_no_space(error) from error


def open_file() -> IO[bytes]:
    """A file without a name and without a buffer. Raises OSError."""
    return tempfile.TemporaryFile(buffering=0)
