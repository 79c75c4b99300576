"""Read descriptions of serving runtimes: those that ship with m2g, and JSON files of the user."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import msgspec

from m2g.compat.declared import Declaration
from m2g.compat.requirement import normalize_name
from m2g.compat.runtime import Runtime
from m2g.core import resources
from m2g.core.errors import InputError

MAX_BYTES = 1 << 20
_DECODER = msgspec.json.Decoder(Runtime)
HINT = "describe it again with `m2g runtimes import`, or see docs/how-to/describe-a-runtime.md"


@functools.cache
def read_stock() -> tuple[Runtime, ...]:
    """KServe's runtimes, whose descriptions ship with m2g."""
    files = sorted((resources.find_root() / "schemas/runtimes").glob("*.json"))
    return tuple(_DECODER.decode(path.read_bytes()) for path in files)


@functools.cache
def read_declared(kserve: str) -> Mapping[str, Declaration]:
    """What the ClusterServingRuntimes of a KServe version declare, by name."""
    content = (resources.find_root() / "schemas/declared-runtimes.json").read_bytes()
    return msgspec.json.decode(content, type=dict[str, dict[str, Declaration]]).get(kserve, {})


def decode(content: bytes) -> Runtime:
    """Decode one description. Raises InputError if it is invalid."""
    if len(content) > MAX_BYTES:
        raise InputError(f"is larger than {MAX_BYTES >> 10} KiB", hint=HINT)
    try:
        runtime = _DECODER.decode(content)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InputError(f"is not a description of a runtime: {str(error)[:300]}", hint=HINT) from error
    if not runtime.name:
        raise InputError("describes a runtime without a name", hint=HINT)
    packages = {normalize_name(name): version for name, version in runtime.packages.items()}
    return msgspec.structs.replace(runtime, packages=packages)
