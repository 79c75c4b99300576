"""Digests of what everything depends on: m2g itself, and the files that are about the whole repository."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from m2g import cache, data
from m2g.config import FILE

_LIBRARIES = (
    "common_expression_language",
    "jinja2",
    "jsonschema_rs",
    "kubernetes_validate",
    "msgspec",
    "ruamel_yaml",
    "ryaml",
)
_SHARED = ("policies", "runtimes", "schemas")
"""Folders of a repository whose files are about every model."""


@functools.cache
def of_m2g() -> bytes:
    """m2g's own code, its schemas, the libraries that it judges by, and Python's minor version."""
    package = Path(__file__).parents[1]
    folder = Path(msgspec.__file__).parents[1]
    installed = sorted(
        name for name in os.listdir(folder) if name.endswith(".dist-info") and name.lower().startswith(_LIBRARIES)
    )
    schemas = data.root() / "schemas"
    return cache.key(
        cache.digest_of(sorted(package.rglob("*.py")), package),
        cache.digest_of(sorted(path for path in schemas.rglob("*.json") if path.is_file()), schemas),
        "\n".join(installed),
        f"{sys.version_info.major}.{sys.version_info.minor}",
    )


def of_repository(root: Path) -> bytes:
    """m2g.yaml, and the repository's own policies, runtimes and schemas."""
    return cache.digest_of((root / FILE, *_files(root)), root)


def _files(root: Path) -> Iterator[Path]:
    for folder in _SHARED:
        for place, folders, names in os.walk(root / folder):
            folders.sort()
            yield from (Path(place, name) for name in sorted(names))
