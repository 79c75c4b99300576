"""Digests of what everything depends on: m2g itself, and the files that are about the whole repository."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path

import msgspec

from m2g.core import resources, safe_files
from m2g.core.cache import Cache, digest_below, key
from m2g.core.errors import M2gError
from m2g.core.model import VersionFacts
from m2g.repository import shared_files
from m2g.repository.layout import CONFIG

_LIBRARIES = (
    "common_expression_language",
    "jsonschema_rs",
    "kubernetes_validate",
    "msgspec",
    "ruamel_yaml",
    "ryaml",
)


@functools.cache
def digest_m2g() -> bytes:
    """m2g's own code, its schemas, the libraries that it judges by, and Python's minor version."""
    package = Path(__file__).parents[1]
    folder = Path(msgspec.__file__).parents[1]
    installed = sorted(
        name for name in os.listdir(folder) if name.endswith(".dist-info") and name.lower().startswith(_LIBRARIES)
    )
    return key(
        digest_below(package, ".py"),
        digest_below(resources.find_root() / "schemas", ".json"),
        "\n".join(installed),
        f"{sys.version_info.major}.{sys.version_info.minor}",
    )


@functools.cache
def digest_facts_code() -> bytes:
    """The code that reads facts of versions, and the form in which they are kept."""
    package = Path(__file__).parents[1] / "registry"
    form = msgspec.json.encode(msgspec.json.schema(VersionFacts))
    return key(digest_below(package, ".py"), form)


def digest_inputs(root: Path, cache: Cache) -> bytes:
    """Both digests in one, taken before any of it is read: from when the repository's changes, nothing more is kept."""
    if not cache.remembers:
        return b""
    before = digest_repository(root)
    cache.only_while(lambda: digest_repository(root) == before)
    return key(digest_m2g(), before)


def digest_repository(root: Path) -> bytes:
    """m2g.yaml, and the repository's own policies, runtimes and schemas: what whoever reads them is given."""
    shared = (
        *shared_files.find_policy_files(root),
        *shared_files.find_runtime_files(root),
        *shared_files.find_schema_files(root),
    )
    return key(
        *_given(root, CONFIG), *(part for path in shared for part in _given(root, path.relative_to(root).as_posix()))
    )


def _given(root: Path, file: str) -> tuple[str, bytes]:
    """The file's name, and its content or why there is none to be had: it leads elsewhere, is too large, no file."""
    try:
        return file, key(safe_files.read(root, file))
    except FileNotFoundError:
        return file, b""
    except M2gError as error:
        return file, key("wrong", error.message)
