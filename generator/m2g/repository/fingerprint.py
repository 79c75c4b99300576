"""Digests of what every cached result depends on: m2g itself, and the files that apply to the whole repository."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path

import msgspec

from m2g.core import redact, resources, safe_files
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
    "packaging",
    "ruamel_yaml",
    "ryaml",
)


@functools.cache
def digest_m2g() -> bytes:
    """A digest of m2g's code and schemas, the libraries that affect results, and the minor Python version."""
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
    """A digest of the code that reads facts of versions, and of their stored form."""
    package = Path(__file__).parents[1] / "registry"
    form = msgspec.json.encode(msgspec.json.schema(VersionFacts))
    return key(digest_below(package, ".py"), Path(redact.__file__).read_bytes(), form)


def digest_inputs(root: Path, cache: Cache) -> bytes:
    """Both digests as one, computed before the files are read. If the files change during the run, nothing more is
    cached."""
    if not cache.is_enabled:
        return b""
    before = digest_repository(root)
    cache.keep_only_while(lambda: digest_repository(root) == before)
    return key(digest_m2g(), before)


def digest_repository(root: Path) -> bytes:
    """A digest of m2g.yaml and of the repository's policies, runtimes, schemas and serving environments,
    as their readers see them."""
    shared = (
        *shared_files.find_policy_files(root),
        *shared_files.find_runtime_files(root),
        *shared_files.find_schema_files(root),
        *shared_files.find_environment_files(root),
    )
    return key(
        *_read(root, CONFIG), *(part for path in shared for part in _read(root, path.relative_to(root).as_posix()))
    )


def _read(root: Path, file: str) -> tuple[str, bytes]:
    """The name of a file, and a digest of its content or of the reason why it cannot be read."""
    try:
        return file, key(safe_files.read(root, file))
    except FileNotFoundError:
        return file, b""
    except M2gError as error:
        return file, key("error", error.message)
