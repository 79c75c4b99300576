"""Where the files are that ship with m2g: schemas, the copier template."""

from __future__ import annotations

from pathlib import Path


def find_root() -> Path:
    """The folder that holds `schemas/`, `template/` and `copier.yml`, in a wheel as in a checkout."""
    packaged = Path(__file__).parents[1] / "_data"
    return packaged if packaged.is_dir() else Path(__file__).parents[3]
