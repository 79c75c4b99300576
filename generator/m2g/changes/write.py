"""The machine-owned files of a repository: read, compared, and written so that a kill loses nothing.

A write is staged in `.m2g/write/`, then committed by one rename (the journal), then moved into place. A kill before the
journal leaves the tree as it was; a kill after it leaves work that the next run finishes first.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
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
"""It names every file of a fleet at most: 20 MB for 10,000 models."""


class _Journal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A committed write: the n-th staged file goes to the n-th of `writes`; then `removals` go."""

    writes: tuple[str, ...]
    removals: tuple[str, ...]


def unfinished(root: Path) -> bool:
    """Whether a write was killed after its commit; the next run that holds the lock finishes it."""
    return (root / _JOURNAL).exists()


@contextlib.contextmanager
def locked(root: Path, *, wait: float = 60, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the repository for writing, and finish what a killed run left.

    `wait` is in seconds; `waiting` is called once when another run holds it. The lock dies with the process.
    Raises OutsideError when it is still held after that, or where the folder cannot be written.
    """
    _refuse_links(root, f"{STATE}/lock", {})
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


def write(root: Path, tree: Tree, removals: Collection[str]) -> None:
    """Make the files of `tree` and remove `removals`, all or nothing; call it under `locked`.

    Raises OutsideError (disk full, read-only) with the tree as it was, and InputError where a symbolic link lies in
    the way: m2g writes through none.
    """
    if not tree and not removals:
        return
    _refuse(root, (*tree, *removals))
    stage = root / _WRITE
    made: list[str] = []
    try:
        shutil.rmtree(stage, ignore_errors=True)
        stage.mkdir(parents=True)
        paths = tuple(sorted(tree))
        _stage(root, stage, tree, paths, made)
        journal = _Journal(writes=paths, removals=tuple(sorted(removals)))
        draft = stage / "journal.draft"
        with draft.open("wb") as out:
            out.write(msgspec.json.encode(journal))
            out.flush()
            os.fsync(out.fileno())
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
    _replay(root, journal, range(len(paths)))


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
            f"another m2g has been writing here for {wait:g} s", hint="wait for it to end, then run again"
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
        _new(f"{stage}/{number}", tree[path])


def _new(path: str, content: bytes) -> None:
    """A new file; twice as fast as `open`, which counts where there are 18 for a model."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(handle, rest) :]
    finally:
        os.close(handle)


def _make_folder(root: Path, folder: str, made: list[str]) -> None:
    """Add to `made` what is new and lies in no folder of it; the folders come sorted."""
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
    if unfinished(root):
        journal = _journal(root)
        staged = set(os.listdir(root / _WRITE))
        _replay(root, journal, [number for number in range(len(journal.writes)) if str(number) in staged])
    else:
        shutil.rmtree(root / _WRITE, ignore_errors=True)


def _replay(root: Path, journal: _Journal, staged: Iterable[int]) -> None:
    """Carry out the journal; every step may be done again, so a kill in here is finished by the next run.

    `staged` are the numbers of the writes that are not done yet.
    """
    try:
        for number in staged:
            _move(f"{root}/{_WRITE}/{number}", f"{root}/{journal.writes[number]}")
        for path in journal.removals:
            (root / path).unlink(missing_ok=True)
            _prune(root, (root / path).parent)
        (root / _JOURNAL).unlink()
    except OSError as error:
        raise OutsideError(
            f"the write stopped half way: {error.strerror} ({error.filename})",
            hint="mend the cause and run m2g render again: it finishes the write",
        ) from error
    shutil.rmtree(root / _WRITE, ignore_errors=True)


def _move(source: str, target: str) -> None:
    try:
        os.replace(source, target)
    except FileNotFoundError:  # the folder went away since it was made
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.replace(source, target)


def _prune(root: Path, folder: Path) -> None:
    """Remove folders that became empty, up to the model's own."""
    while folder not in (root, root / MODELS, root / FLEET) and folder.parent != root / FLEET:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent


def _journal(root: Path) -> _Journal:
    """What a killed run left. It may be anybody's (a branch can carry a `.m2g`): it names m2g's own files only."""
    hint = f"if no m2g was killed here, somebody committed it: delete {STATE}/ and run again"
    try:
        journal = msgspec.json.decode(safe_files.read(root, _JOURNAL, limit=_MAX_JOURNAL), type=_Journal)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InputError(f"{_JOURNAL} is no journal of m2g: {error}", hint=hint) from error
    for path in (*journal.writes, *journal.removals):
        if not is_owned(path):
            raise InputError(f"{_JOURNAL} names {path!r}, which is not m2g's to write", hint=hint)
    _refuse(root, (*journal.writes, *journal.removals))
    with os.scandir(root / _WRITE) as entries:
        links = sorted(entry.name for entry in entries if entry.is_symlink())
    if links:
        raise InputError(f"{_WRITE}/{links[0]} is a symbolic link", hint=hint)
    return journal


def _refuse(root: Path, paths: Collection[str]) -> None:
    """Refuse places that are not m2g's, and those that a symbolic link leads elsewhere."""
    known: dict[str, bool] = {}
    for path in paths:
        if not is_owned(path):
            raise ValueError(f"{path} is not m2g's to write")
        _refuse_links(root, path, known)


def _refuse_links(root: Path, path: str, known: dict[str, bool]) -> None:
    """Look at every step of the path; `known` says of folders that were looked at whether they are there."""
    steps = path.split("/")
    if ".." in steps or "" in steps:
        raise _leads_away(path, root / path)
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
                raise _leads_away(path, root / place)
            there = mode != 0
            if place != path:
                known[place] = there
        if not there:  # then nothing is below it
            return


def _leads_away(path: str, place: Path) -> InputError:
    return InputError(
        f"{path} leads through a symbolic link ({place}); m2g writes through none",
        hint="replace the link by a real file or folder",
    )


def _unwritable(place: Path, error: OSError) -> OutsideError:
    return OutsideError(
        f"{place} cannot be written: {error.strerror}", hint="free space or allow writing; the tree is as it was"
    )


def unfinished_finding(root: Path) -> list[Finding]:
    """A finding where a killed write waits to be finished: until then the tree is neither the old nor the new one."""
    if not unfinished(root):
        return []
    return [
        Finding(
            rule="write-unfinished",
            file=STATE,
            message="an earlier write was killed after it was committed",
            hint="run `m2g render` (or `m2g render --locked`): it finishes the write first",
        )
    ]
