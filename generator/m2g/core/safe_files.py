"""Read a file of the repository, and write one: safely, in one step, and never through a symlink outside."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

from msgspec import UNSET, UnsetType

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


def write_atomic(root: Path, file: str, content: bytes, *, before: bytes | UnsetType | None = UNSET) -> None:
    """Write `file` (relative to `root`) in one step: a reader, or a kill, sees the old content or the new one.

    Missing folders are made. An existing file keeps its mode and, where the system allows it, its owner. Pass what you
    have read as `before` (None if there was no file) to keep a file that somebody else has changed since.

    Raises InputError if a symlink, or something that is not a regular file, is in the way. Raises OutsideError if the
    file has changed since, or cannot be written. The file is unchanged then.
    """
    check_symlinks(root, file)
    target = root / file
    draft = target.with_name(f".{target.name}.{os.urandom(4).hex()}.m2g")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        state = target.lstat() if os.path.lexists(target) else None
        if state is not None and not stat.S_ISREG(state.st_mode):
            raise InputError(f"{file} is not a regular file", hint=f"move it away: `mv {file} {file}.old`")
        try:
            _write_draft(draft, content, state)
            if before is not UNSET and _content(root, file) != before:
                raise OutsideError(f"{file} has changed since m2g read it", hint="run the command again")
            os.replace(draft, target)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        _sync(target.parent)
    except OSError as error:
        hint = "free space or allow writing; the file is unchanged"
        raise OutsideError(f"{file} cannot be written: {error.strerror}", hint=hint) from error


def check_symlinks(root: Path, file: str, known: dict[str, bool] | None = None) -> None:
    """Raises InputError if `file` (relative to `root`) or a folder on its way is a symlink, or if it has `..` in it.

    `known` saves a second look at folders: it says which of them exist. Pass the same one for many files.
    """
    known = {} if known is None else known
    steps = file.split("/")
    if ".." in steps or "" in steps:
        raise InputError(f"{file!r} leads out of the repository", hint="use a path below the repository's folder")
    place = ""
    for step in steps:
        place = f"{place}/{step}" if place else step
        there = known.get(place)
        if there is None:
            try:
                mode = os.lstat(f"{root}/{place}").st_mode
            except OSError:
                mode = 0
            if stat.S_ISLNK(mode):
                what = "is a symlink" if place == file else f"is behind the symlink {place}"
                hint = "replace the symlink with a regular file or folder"
                raise InputError(f"{file} {what}, and m2g does not write through symlinks", hint=hint)
            there = mode != 0
            if place != file:
                known[place] = there
        if not there:  # nothing is below it
            return


def _write_draft(draft: Path, content: bytes, like: os.stat_result | None) -> None:
    """A new file on the disk, with the mode and owner of the file that it replaces."""
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    with os.fdopen(handle, "wb") as out:
        if like is not None:
            with contextlib.suppress(PermissionError):
                os.fchown(handle, like.st_uid, like.st_gid)
            os.fchmod(handle, stat.S_IMODE(like.st_mode))
        out.write(content)
        out.flush()
        os.fsync(handle)


def _content(root: Path, file: str) -> bytes | None:
    try:
        return read(root, file)
    except FileNotFoundError:
        return None


def _sync(folder: Path) -> None:
    """Let the rename survive a power cut. Not every file system can do it."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
