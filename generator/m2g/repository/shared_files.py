"""The files that are about the whole repository: policies, described runtimes, schemas."""

from __future__ import annotations

from pathlib import Path

from m2g.repository import layout


def policy_files(root: Path) -> list[Path]:
    """The files that may hold policies."""
    return sorted([*(root / layout.POLICIES).glob("*.yaml"), *(root / layout.POLICIES).glob("*.yml")])


def runtime_files(root: Path) -> list[Path]:
    """The files that may describe serving runtimes."""
    return sorted((root / layout.RUNTIMES).glob("*.json"))


def schema_files(root: Path) -> list[Path]:
    """The files that may be schemas."""
    return sorted((root / layout.SCHEMAS).glob("*/*.json"))
