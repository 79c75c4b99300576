"""The digest of an installed environment: a file that was added, changed or removed later does not pass unseen."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


def digest_folder(folder: Path) -> str:
    """A digest of the names, kinds, modes and contents of everything in a folder. Raises OSError."""
    with ThreadPoolExecutor() as pool:
        total = hashlib.sha256()
        for line in pool.map(_describe, sorted(_walk(folder)), chunksize=64):
            total.update(line)
    return total.hexdigest()


def _walk(folder: Path) -> Iterator[tuple[str, str]]:
    """(path relative to the folder, path) of each entry. Links are not followed."""
    start = len(f"{folder}{os.sep}")
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(place, name)
            yield path[start:], path


def _describe(entry: tuple[str, str]) -> bytes:
    name, path = entry
    state = os.lstat(path)
    kind, mode = state.st_mode & 0o170000, state.st_mode & 0o7777
    if kind == 0o120000:
        content, mode = os.readlink(path), 0
    elif kind == 0o100000:
        with open(path, "rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
    else:
        content = ""
    return os.fsencode(f"{name}\0{kind:o} {mode:o}\0{content}\0")
