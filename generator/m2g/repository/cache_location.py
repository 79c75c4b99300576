"""Where this run may remember: nowhere that a branch can bring its own answers to."""

from __future__ import annotations

import os
from pathlib import Path

from m2g.core import cache
from m2g.git import read


def find_cache_folder(root: Path) -> Path | None:
    """The folder of what earlier runs found out; None where there is none to be used.

    Inside of the repository (GitLab keeps caches there) Git has to say that the file is none of its own.
    """
    named = cache.folder()
    if named is None or not os.path.lexists(named / cache.FILE):
        return named
    folder = Path(os.path.realpath(named))
    if not folder.is_relative_to(_top(root)):
        return named
    tracked = read.list_tracked(folder)
    return None if tracked is None or any(name.casefold().startswith(cache.FILE) for name in tracked) else named


def _top(root: Path) -> Path:
    """The outermost Git checkout that the repository lies in, else the repository itself."""
    here = Path(os.path.realpath(root))
    return next((folder for folder in reversed((here, *here.parents)) if os.path.lexists(folder / ".git")), here)
