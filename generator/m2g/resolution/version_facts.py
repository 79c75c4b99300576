"""Facts of versions: asked of the registry once, then remembered by what makes a version this very one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from m2g.core.cache import Cache, key
from m2g.core.model import ModelVersion, VersionFacts
from m2g.registry import Registry
from m2g.repository import fingerprint

_TOGETHER = 100
"""Versions that are looked up together."""
_DECODER = msgspec.msgpack.Decoder(VersionFacts)


def of(
    registry: Registry, versions: Sequence[ModelVersion], cache: Cache
) -> Iterator[tuple[ModelVersion, VersionFacts]]:
    """Each version with its facts, as `Registry.facts` gives them: those that are known first, then the others.

    A version is immutable: MLflow gives a number once, and a model that was deleted and made anew has other times. So
    what was read whole once is not read again, whoever asks. What could not be read is asked for each time. Its run is
    not: what is logged later is not seen, as it would not be once a record has it.
    """
    missing: list[ModelVersion] = []
    for start in range(0, len(versions), _TOGETHER):
        keys = {_key(registry, version): version for version in versions[start : start + _TOGETHER]}
        found = cache.read_all(keys, _DECODER)
        for known, version in keys.items():
            if known in found:
                yield version, found[known]
            else:
                missing.append(version)
    for start in range(0, len(missing), _CHUNK):
        chunk = missing[start : start + _CHUNK]
        fresh = registry.read_facts(chunk)
        remember(registry, chunk, fresh, cache)
        yield from ((version, fresh[version.name, version.version]) for version in chunk)


def remember(
    registry: Registry, versions: Sequence[ModelVersion], known: Mapping[tuple[str, str], VersionFacts], cache: Cache
) -> None:
    """Keep the facts of these versions that were read whole."""
    cache.put_all(
        {
            _key(registry, version): msgspec.msgpack.encode(facts)
            for version in versions
            if (facts := known[version.name, version.version]).files and not facts.problem and not facts.unread
        }
    )


_CHUNK = 250
"""Versions that are asked for and kept together: as many as one search answers. A run that is killed keeps them."""


def _key(registry: Registry, version: ModelVersion) -> bytes:
    return key(
        fingerprint.digest_facts_code(),
        registry.identity,
        version.name,
        version.version,
        str(version.created_at),
        version.source,
        version.run_id,
    )
