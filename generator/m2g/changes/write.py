"""Write m2g's files all or nothing, even if the process is killed.

A write is staged in `.m2g/write/`, then committed by one rename (the journal), then moved into place. If m2g is killed
before the journal exists, no file has changed. If it is killed later, the next run finishes the write first.

People may edit while m2g runs. Each file is compared once more with what m2g has read: all before the journal, and each
right before it is replaced or removed.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

from m2g.core import safe_files
from m2g.core.errors import InputError, OutsideError
from m2g.core.finding import Finding
from m2g.core.stamp import Tree
from m2g.repository.layout import FLEET, MODELS, STATE, is_owned

_WRITE = f"{STATE}/write"
_JOURNAL = f"{_WRITE}/journal.json"
_MAX_JOURNAL = 1 << 30
"""The limit for a journal. It names every file of the fleet at most: 20 MB for 10,000 models."""


class _Journal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A committed write: staged file number n moves to the n-th path of `writes`; then `removals` are deleted.

    `before` are the digests of what is replaced and removed, in this order; empty for a file that does not exist. The
    journal of an older m2g has none, so that everything counts as unchanged.
    """

    writes: tuple[str, ...]
    removals: tuple[str, ...]
    before: tuple[str, ...] | None = None


def is_unfinished(root: Path) -> bool:
    """Whether a write was killed after its commit. The next run that holds the lock finishes it."""
    return (root / _JOURNAL).exists()


@contextlib.contextmanager
def lock_repository(root: Path, *, wait: float = 60, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Lock the repository for writing, and finish the write of a killed run.

    `wait` is in seconds; `waiting` is called once if another run holds the lock. The lock ends with the process.
    Raises OutsideError if the lock is still held after that time, or if the folder cannot be written.
    """
    safe_files.check_symlinks(root, f"{STATE}/lock")
    try:
        folder = root / STATE
        folder.mkdir(exist_ok=True)
        ignore = folder / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")
        lock = _acquire(folder / "lock", wait, waiting)
    except OSError as error:
        raise _unwritable(root / STATE, error) from error
    with lock:
        _recover(root)
        yield


def write_tree(root: Path, tree: Tree, removals: Collection[str], before: Mapping[str, bytes]) -> tuple[str, ...]:
    """Write the files of `tree` and delete `removals`, all or nothing. The caller holds `lock_repository`.

    `before` has the content of those that exist, as the caller has read it. The result are the files that somebody
    changed in the moment of the write: they are kept as they are.

    Raises OutsideError (disk full, read-only) or InputError (a symlink in the path, a file that is not as in `before`).
    Then no file is changed.
    """
    if not tree and not removals:
        return ()
    _check_paths(root, (*tree, *removals))
    stage = root / _WRITE
    made: list[str] = []
    try:
        shutil.rmtree(stage, ignore_errors=True)
        stage.mkdir(parents=True)
        paths = tuple(sorted(tree))
        _stage(root, stage, tree, paths, made)
        gone = tuple(sorted(removals))
        digests = tuple(_digest(before[path]) if path in before else "" for path in (*paths, *gone))
        journal = _Journal(writes=paths, removals=gone, before=digests)
        draft = stage / "journal.draft"
        with draft.open("wb") as out:
            out.write(msgspec.json.encode(journal))
            out.flush()
            os.fsync(out.fileno())
        _refuse_edits(root, [path for path, old in _list_before(journal) if not _is_unchanged(root, path, old)])
    except BaseException as error:
        shutil.rmtree(stage, ignore_errors=True)
        for top in made:
            for folder, _, _ in os.walk(root / top, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)
        if isinstance(error, OSError):
            raise _unwritable(Path(error.filename or stage), error) from error
        raise
    os.replace(draft, root / _JOURNAL)
    return _replay(root, journal, range(len(paths)))


def _refuse_edits(root: Path, paths: Sequence[str]) -> None:
    if paths:
        shown = "\n  ".join(paths[:20])
        more = f"\n  and {len(paths) - 20} more" if len(paths) > 20 else ""
        raise InputError(
            f"nothing was written: these files changed while m2g ran:\n  {shown}{more}",
            hint="if you edited them by hand, see `m2g explain hand-edit`; otherwise run the command again",
        )


def _acquire(file: Path, wait: float, waiting: Callable[[], None]) -> AbstractContextManager[object]:
    from filelock import FileLock, Timeout  # 10 ms, and `validate` only looks at this module's journal

    lock = FileLock(file, fallback_to_soft=False)
    try:
        with contextlib.suppress(Timeout):
            return lock.acquire(timeout=0)
        waiting()
        return lock.acquire(timeout=wait)
    except Timeout:
        raise OutsideError(
            f"another m2g has held the lock of this repository for {wait:g} s",
            hint="wait until it is done, then run the command again",
        ) from None


def _stage(root: Path, stage: Path, tree: Tree, paths: Sequence[str], made: list[str]) -> None:
    last = ""
    for number, path in enumerate(paths):
        folder = path.rpartition("/")[0]
        if folder != last:
            last = folder
            _make_folder(root, folder, made)
            if not os.access(f"{root}/{folder}", os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), folder)
        _create(f"{stage}/{number}", tree[path])


def _create(path: str, content: bytes) -> None:
    """Write a new file. This is twice as fast as `open`, which matters with 18 files for each model."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(handle, rest) :]
    finally:
        os.close(handle)


def _make_folder(root: Path, folder: str, made: list[str]) -> None:
    """Create a folder. Add it to `made` unless it is below a folder in `made`. The folders come sorted."""
    place = f"{root}/{folder}"
    try:
        os.mkdir(place)
    except FileExistsError:
        if not os.path.isdir(place):
            raise
    except FileNotFoundError:
        if not folder:
            raise
        _make_folder(root, folder.rpartition("/")[0], made)
        os.mkdir(place)
    else:
        if not made or not folder.startswith(f"{made[-1]}/"):
            made.append(folder)


def _recover(root: Path) -> None:
    if is_unfinished(root):
        journal = _journal(root)
        staged = set(os.listdir(root / _WRITE))
        _replay(root, journal, [number for number in range(len(journal.writes)) if str(number) in staged])
    else:
        shutil.rmtree(root / _WRITE, ignore_errors=True)


def _list_before(journal: _Journal) -> list[tuple[str, str | None]]:
    """The paths of a journal with the digests of what they had. Raises ValueError if their numbers differ."""
    paths = (*journal.writes, *journal.removals)
    return list(zip(paths, (None,) * len(paths) if journal.before is None else journal.before, strict=True))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _is_unchanged(root: Path, path: str, before: str | None) -> bool:
    """Whether the file is as m2g has read it, or missing as it was. Anything else than a file counts as changed."""
    place = f"{root}/{path}"
    if before is None:
        return True
    if not before:
        return not os.path.lexists(place)
    try:
        handle = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb", buffering=0) as file:
            return file.seekable() and _digest(file.read()) == before
    except OSError:
        return False


def _replay(root: Path, journal: _Journal, staged: Collection[int]) -> tuple[str, ...]:
    """Carry out the journal. Every step can be repeated, so the next run can finish it.

    `staged` are the numbers of the files that are not moved yet. The result are files that changed since m2g read them
    and were kept.
    """
    kept: list[str] = []
    before = _list_before(journal)
    try:
        for number in staged:
            path, old = before[number]
            if _is_unchanged(root, path, old):
                _move(f"{root}/{_WRITE}/{number}", f"{root}/{path}")
            else:
                kept.append(path)
        for path, old in before[len(journal.writes) :]:
            if os.path.lexists(root / path) and not _is_unchanged(root, path, old):
                kept.append(path)
                continue
            (root / path).unlink(missing_ok=True)
            _prune(root, (root / path).parent)
        (root / _JOURNAL).unlink()
    except OSError as error:
        raise OutsideError(
            f"the write stopped before it was complete: {error.strerror} ({error.filename})",
            hint="fix the cause, then finish the write: m2g render",
        ) from error
    shutil.rmtree(root / _WRITE, ignore_errors=True)
    return tuple(kept)


def _move(source: str, target: str) -> None:
    try:
        os.replace(source, target)
    except FileNotFoundError:  # somebody removed the folder since it was created
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.replace(source, target)


def _prune(root: Path, folder: Path) -> None:
    """Remove folders that became empty, up to and including the model's own."""
    while folder not in (root, root / MODELS, root / FLEET) and folder.parent != root / FLEET:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent


def _journal(root: Path) -> _Journal:
    """The journal of a killed run. A branch may contain a forged one, so it may name only m2g's own files."""
    hint = f"if no m2g was killed here, somebody committed it: rm -r {STATE}, then run the command again"
    try:
        journal = msgspec.json.decode(safe_files.read(root, _JOURNAL, limit=_MAX_JOURNAL), type=_Journal)
        _list_before(journal)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise InputError(f"{_JOURNAL} is not a journal of m2g: {error}", hint=hint) from error
    for path in (*journal.writes, *journal.removals):
        if not is_owned(path):
            raise InputError(f"{_JOURNAL} names {path!r}, a file that m2g does not own", hint=hint)
    _check_paths(root, (*journal.writes, *journal.removals))
    with os.scandir(root / _WRITE) as entries:
        links = sorted(entry.name for entry in entries if entry.is_symlink())
    if links:
        raise InputError(f"{_WRITE}/{links[0]} is a symlink", hint=hint)
    return journal


def _check_paths(root: Path, paths: Collection[str]) -> None:
    """Refuse paths that m2g does not own, and those with a symlink."""
    known: dict[str, bool] = {}
    for path in paths:
        if not is_owned(path):
            raise ValueError(f"m2g does not own {path}")
        safe_files.check_symlinks(root, path, known)


def _unwritable(path: Path, error: OSError) -> OutsideError:
    return OutsideError(
        f"{path} cannot be written: {error.strerror}",
        hint="free disk space or change the permissions; m2g changed no file",
    )


def find_unfinished(root: Path) -> list[Finding]:
    """A finding if the write of a killed run is not finished: until then old and new files are mixed."""
    if not is_unfinished(root):
        return []
    return [
        Finding(
            rule="write-unfinished",
            file=STATE,
            message="an earlier run was killed while it wrote files",
            hint="finish the write: m2g render (or m2g render --locked)",
        )
    ]
