"""The one way to create temporary folders and files, with a clear error if there is no space for them."""

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
    """No temporary folder is writable, or the folder is full."""


def describe_no_space(error: OSError, what: str = "a temporary file cannot be written") -> NoSpace:
    """The error for a temporary folder that is missing, full or damaged."""
    try:
        place = tempfile.gettempdir()
    except OSError:
        hint = "set TMPDIR to a writable folder; in a read-only container, mount a volume at /tmp"
        return NoSpace(f"{what}: no temporary folder is writable", hint=hint)
    hint = "free some space there, or set TMPDIR to another folder; nothing was changed"
    return NoSpace(f"{what} in {place}: {error.strerror or error}", hint=hint)


def create_folder(prefix: str = "m2g-") -> Path:
    """A new folder that the caller must remove. Raises NoSpace."""
    try:
        return Path(tempfile.mkdtemp(prefix=prefix))
    except OSError as error:
        raise describe_no_space(error) from error


@contextlib.contextmanager
def open_folder(prefix: str = "m2g-") -> Iterator[Path]:
    """A new folder that is removed at the end of the block. Its path has no symlinks.

    Raises NoSpace if it cannot be created, or if the disk is full in the block.
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
    """An unbuffered file without a name. Raises OSError."""
    return tempfile.TemporaryFile(buffering=0)
