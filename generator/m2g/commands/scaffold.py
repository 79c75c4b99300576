"""`m2g scaffold`: bring the files of the template in line with m2g.yaml, without asking anything again."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path

from m2g.changes.write import lock_repository
from m2g.core import safe_files
from m2g.core.errors import InputError
from m2g.core.results import Alignment, ChangeKind, FileChange
from m2g.git.merge import merge_file
from m2g.repository import config as configuration
from m2g.repository.layout import CONFIG
from m2g.repository.load import InvalidRepository
from m2g.scaffold.answers import derive_answers, read_answers
from m2g.scaffold.create import render_packaged

_LINES = 60
"""How many lines of a diff are kept."""


def align(root: Path, *, dry_run: bool) -> Alignment:
    """Render the template with the old answers and with those of m2g.yaml, and merge the difference into the files.

    m2g.yaml itself never changes. If an edit of somebody's is in the way, nothing is written. Raises InputError for a
    repository without answers and for what the template refuses.
    """
    loaded = configuration.load(root)
    if loaded.config is None or loaded.findings:
        raise InvalidRepository(loaded.findings)
    before = read_answers(root)
    changed = derive_answers(loaded.config, before)
    if not changed:
        return Alignment()
    merged, conflicts = _merge(root, render_packaged(before), render_packaged({**before, **changed}))
    if not dry_run and not conflicts:
        with lock_repository(root):
            for path, (old, new) in merged.items():
                _write(root, path, old, new)
    return Alignment(
        answers=changed,
        files=tuple(_describe(path, old, new) for path, (old, new) in merged.items()),
        conflicts=conflicts,
        written=not dry_run and not conflicts,
    )


_Change = tuple[bytes | None, bytes | None]
"""A file as it is and as it should be; None is no file."""


def _merge(root: Path, before: dict[str, bytes], after: dict[str, bytes]) -> tuple[dict[str, _Change], tuple[str, ...]]:
    """The files to write, and those in which an edit of somebody's is in the way."""
    merged: dict[str, _Change] = {}
    conflicts: list[str] = []
    for path in sorted(before.keys() | after.keys()):
        base, wanted = before.get(path), after.get(path)
        if base == wanted or path == CONFIG:
            continue
        have = _read(root, path)
        if have == wanted or (have is None and base is not None):
            continue  # it is so already, or somebody has removed the file and does not want it
        if have == base:
            merged[path] = have, wanted
            continue
        text = None if have is None or base is None or wanted is None else merge_file(have, base, wanted)
        if text is None:
            conflicts.append(path)
        elif text != have:
            merged[path] = have, text
    return merged, tuple(conflicts)


def _read(root: Path, path: str) -> bytes | None:
    try:
        return safe_files.read(root, path)
    except FileNotFoundError:
        return None


def _write(root: Path, path: str, old: bytes | None, new: bytes | None) -> None:
    if new is not None:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        safe_files.write_atomic(root, path, new, before=old)
    elif _read(root, path) == old:
        (root / path).unlink()
    else:
        raise InputError(f"{path} has changed since m2g read it", hint="run m2g scaffold again")


def _describe(path: str, old: bytes | None, new: bytes | None) -> FileChange:
    kind = ChangeKind.ADDED if old is None else ChangeKind.REMOVED if new is None else ChangeKind.CHANGED
    diff = tuple(_diff(old, new)) if kind is ChangeKind.CHANGED else ()
    return FileChange(kind=kind, path=path, diff=diff)


def _diff(old: bytes | None, new: bytes | None) -> Iterator[str]:
    before, after = ((content or b"").decode(errors="replace").splitlines() for content in (old, new))
    lines = list(difflib.unified_diff(before, after, n=0, lineterm=""))
    yield from lines[2 : _LINES + 2]  # after the two lines with the names
