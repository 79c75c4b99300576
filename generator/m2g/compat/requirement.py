"""Names, versions and requirement lines of Python packages, as `packaging` reads them; it is slow to import."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.requirements import Requirement


@functools.lru_cache(maxsize=1 << 12)
def normalize_name(package: str) -> str:
    """A package's name as PyPI compares it."""
    from packaging.utils import canonicalize_name

    return canonicalize_name(package)


@functools.lru_cache(maxsize=1 << 12)  # the models of a fleet mostly need the same packages
def parse_requirement(line: str) -> Requirement | None:
    """A requirement line (PEP 508); None for an option, a path, and whatever else is not one."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return Requirement(line)
    except (InvalidRequirement, RecursionError):
        return None


@functools.lru_cache(maxsize=1 << 12)
def parse_version(version: str) -> tuple[int, ...]:
    """The numbers of a version: (1, 5, 2) of `1.5.2.post1`; empty for what is not a version."""
    from packaging.version import Version

    try:
        return Version(version.removesuffix(".*")).release
    except ValueError:  # InvalidVersion, and a number that is too long for Python
        return ()


def parse_minor(version: str) -> tuple[int, ...]:
    """Major and minor."""
    return parse_version(version)[:2]
