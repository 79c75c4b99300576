"""The files that apply to the whole repository: policies, described runtimes, schemas."""

from __future__ import annotations

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
