"""The one way to read a repository's file: a regular one, of bounded size, that does not lie outside through a link."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from m2g.core.errors import InputError, OutsideError

MAX_BYTES = 16 << 20
"""No file that m2g or people write comes near it."""


def read(root: Path, file: str, *, limit: int = MAX_BYTES) -> bytes:
    """The content of `file` (relative to `root`).

    Raises FileNotFoundError where there is none, InputError for what is no regular file, is larger than `limit`, lies
    outside `root` through a symbolic link or nowhere through a loop of them, and OutsideError where the system does
    not give it.
    """
    path = root / file
    try:
        if not path.resolve().is_relative_to(root.resolve()):
            raise InputError(f"{file} leads out of the repository through a symbolic link", hint="put a file there")
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            state = os.fstat(handle)
            if not stat.S_ISREG(state.st_mode) or state.st_size > limit:
                what = f"is larger than {limit >> 20} MiB" if stat.S_ISREG(state.st_mode) else "is no regular file"
                raise InputError(f"{file} {what}", hint="remove it, or restore it with git checkout")
            with os.fdopen(handle, "rb", closefd=False) as source:
                return source.read(limit + 1)
        finally:
            os.close(handle)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(file) from error
    except (OSError, RuntimeError) as error:
        if isinstance(error, RuntimeError) or error.errno == errno.ELOOP:  # as pathlib says it, as the system does
            raise InputError(f"{file} is a link that leads in a circle", hint="put a file there") from error
        raise OutsideError(f"{file} cannot be read: {error.strerror}") from error
