"""The files that apply to the whole repository: policies, runtimes, schemas, serving environments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from m2g.repository import layout


def find_policy_files(root: Path) -> list[Path]:
    """The files that may hold policies."""
    return sorted([*(root / layout.POLICIES).glob("*.yaml"), *(root / layout.POLICIES).glob("*.yml")])


def find_runtime_files(root: Path) -> list[Path]:
    """The files that may describe serving runtimes."""
    return sorted((root / layout.RUNTIMES).glob("*.json"))


def find_schema_files(root: Path) -> list[Path]:
    """The files that may be schemas."""
    return sorted((root / layout.SCHEMAS).glob("*/*.json"))


def find_environment_folders(root: Path) -> list[Path]:
    """The folders that may hold serving environments."""
    return sorted(path for path in (root / layout.ENVIRONMENTS).glob("*") if path.is_dir() or path.is_symlink())


def find_environment_files(root: Path) -> list[Path]:
    """The records and locks of the serving environments."""
    names = [folder.name for folder in find_environment_folders(root)]
    return [root / path(name) for name in names for path in (layout.environment_record, layout.environment_lock)]


def find_shared_files(root: Path, *, install: bool) -> list[str]:
    """Every file in environments/, those of environments in fleet/, and if wanted platform/install, whoever wrote
    them."""
    folders = [root / layout.ENVIRONMENTS, *(root / layout.FLEET).glob("*")]
    folders += [root / layout.INSTALL] if install else []
    files = (path.relative_to(root).as_posix() for folder in folders for path in _walk(folder))
    return sorted(
        path
        for path in files
        if layout.find_top_folder(path) == layout.ENVIRONMENTS
        or layout.parse_environment_path(path)
        or layout.is_install(path)
    )


def _walk(folder: Path) -> Iterator[Path]:
    """The files below a folder; symlinks are not followed."""
    if folder.is_symlink() or not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path)
        else:
            yield path
