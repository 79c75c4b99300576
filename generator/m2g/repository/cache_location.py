"""Find a cache folder that a branch cannot bring its own files to."""

from __future__ import annotations

import os
from pathlib import Path

from m2g.core import cache
from m2g.git import read


def find_cache_folder(root: Path) -> Path | None:
    """The cache folder, or None if there is none that can be used.

    A folder inside the repository (GitLab stores caches there) is used only if Git says that it does not track the
    file.
    """
    folder = cache.find_folder()
    if folder is None or not os.path.lexists(folder / cache.FILE):
        return folder
    real = Path(os.path.realpath(folder))
    if not real.is_relative_to(_find_checkout(root)):
        return folder
    tracked = read.list_tracked(real)
    return None if tracked is None or any(name.casefold().startswith(cache.FILE) for name in tracked) else folder


def _find_checkout(root: Path) -> Path:
    """The outermost Git checkout that contains the repository, else the repository itself."""
    here = Path(os.path.realpath(root))
    return next((folder for folder in reversed((here, *here.parents)) if os.path.lexists(folder / ".git")), here)
