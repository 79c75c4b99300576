"""Descriptions of runtimes on disk: m2g's own, and `runtimes/*.json` of a repository, which come first."""

from __future__ import annotations

import functools

import msgspec

from m2g.compat.runtime import Runtime, normalize_name
from m2g.core import resources
from m2g.core.errors import InputError

MAX_BYTES = 1 << 20
_DECODER = msgspec.json.Decoder(Runtime)
HINT = "see docs/how-to/describe-a-runtime.md, or describe it again: m2g runtimes import"


@functools.cache
def read_stock() -> tuple[Runtime, ...]:
    """Those of KServe, as they ship with m2g."""
    found = sorted((resources.find_root() / "schemas/runtimes").glob("*.json"))
    return tuple(_DECODER.decode(path.read_bytes()) for path in found)


def decode(content: bytes) -> Runtime:
    """One description. Raises InputError for anything else."""
    if len(content) > MAX_BYTES:
        raise InputError(f"is larger than {MAX_BYTES >> 10} KiB", hint=HINT)
    try:
        found = _DECODER.decode(content)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InputError(f"describes no runtime: {str(error)[:300]}", hint=HINT) from error
    if not found.name:
        raise InputError("describes a runtime without a name", hint=HINT)
    return msgspec.structs.replace(found, packages={normalize_name(key): text for key, text in found.packages.items()})
