"""Find the records that were changed since m2g compared them with the registry, from the cache and without asking."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from m2g.core.cache import Cache, key
from m2g.core.model import Release

_KNOWN = b"1"


def find_changed(records: Iterable[Release], cache: Cache) -> list[Release]:
    """The records of versions that m2g has read, which do not say what it read then.

    A version that this cache does not know is in none of them: to read a whole fleet again is `m2g render --verify`.
    """
    if not cache.is_enabled:
        return []
    keys = [(record, _version_key(record), _facts_key(record)) for record in records]
    found = cache.get_all({one for _, *pair in keys for one in pair})
    return [record for record, version, facts in keys if version in found and facts not in found]


def remember(records: Iterable[Release], cache: Cache) -> None:
    """Cache that these records say what the registry says."""
    for record in records:
        cache.put(_version_key(record), _KNOWN)
        cache.put(_facts_key(record), _KNOWN)


def _version_key(record: Release) -> bytes:
    return key("known version", msgspec.msgpack.encode(record.identity))


def _facts_key(record: Release) -> bytes:
    """The facts that never change. Metrics may be logged later, and the example is left out where m2g.yaml says so."""
    mlmodel = record.mlmodel and msgspec.structs.replace(record.mlmodel, example="", with_example=False)
    facts = msgspec.msgpack.encode((record.artifact_uri, mlmodel))
    return key("known facts", msgspec.msgpack.encode(record.identity), facts)
