"""Read a file of the repository safely: a regular file of limited size that is not outside the repository."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from m2g.core.errors import InputError, OutsideError, restore_command

_NO_SYMLINK = "replace the symlink with a regular file"
MAX_BYTES = 16 << 20
"""Far more than any file that m2g or people write."""


def read(root: Path, file: str, *, limit: int = MAX_BYTES) -> bytes:
    """The content of `file` (relative to `root`).

    Raises FileNotFoundError if it does not exist. Raises InputError if it is not a regular file, is larger than
    `limit`, is outside `root` through a symlink, or is a loop of symlinks. Raises OutsideError if it cannot be read.
    """
    path = root / file
    try:
        if not path.resolve().is_relative_to(root.resolve()):
            raise InputError(f"{file} is outside the repository, through a symlink", hint=_NO_SYMLINK)
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            state = os.fstat(handle)
            if not stat.S_ISREG(state.st_mode) or state.st_size > limit:
                what = f"is larger than {limit >> 20} MiB" if stat.S_ISREG(state.st_mode) else "is not a regular file"
                raise InputError(f"{file} {what}", hint=f"remove it, or restore it: {restore_command(file)}")
            with os.fdopen(handle, "rb", closefd=False) as source:
                return source.read(limit + 1)
        finally:
            os.close(handle)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(file) from error
    except (OSError, RuntimeError) as error:
        if isinstance(error, RuntimeError) or error.errno == errno.ELOOP:  # pathlib raises the former
            raise InputError(f"{file} is a loop of symlinks", hint=_NO_SYMLINK) from error
        raise OutsideError(f"{file} cannot be read: {error.strerror}") from error
