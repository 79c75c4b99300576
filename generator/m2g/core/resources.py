"""The location of the files that ship with m2g: schemas and the copier template."""

from __future__ import annotations

from pathlib import Path


def find_root() -> Path:
    """The folder that contains `schemas/`, `template/` and `copier.yml`, in a wheel or in a checkout."""
    packaged = Path(__file__).parents[1] / "_data"
    return packaged if packaged.is_dir() else Path(__file__).parents[3]
