"""The facts of model versions, read from the registry once and cached by what identifies a version."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from m2g.core.cache import Cache, key
from m2g.core.model import ModelVersion, VersionFacts
from m2g.registry import Registry, TellsProgress
from m2g.repository import fingerprint

_BATCH = 100
"""How many versions are looked up in the cache at once."""
_CHUNK = 250
"""How many versions are read from the registry and cached at once: as many as one search returns. If a run is killed,
the chunks before are cached."""
_DECODER = msgspec.msgpack.Decoder(VersionFacts)


def read_version_facts(
    registry: Registry, versions: Sequence[ModelVersion], cache: Cache
) -> Iterator[tuple[ModelVersion, VersionFacts]]:
    """Each version with its facts (see `Registry.read_facts`): first those in the cache, then the others.

    A version is immutable: MLflow uses a number once, and a model that was deleted and created again has other time
    stamps. So facts that were read completely are not read again. Facts that could not be read are tried again in each
    run. Metrics that are logged to the run later are not seen, just as in a release record.
    """
    missing: list[ModelVersion] = []
    for start in range(0, len(versions), _BATCH):
        keys = {_key(registry, version): version for version in versions[start : start + _BATCH]}
        cached = cache.read_all(keys, _DECODER)
        for known, version in keys.items():
            if known in cached:
                yield version, cached[known]
            else:
                missing.append(version)
    if isinstance(registry, TellsProgress):
        registry.expect(len(missing))
    for start in range(0, len(missing), _CHUNK):
        chunk = missing[start : start + _CHUNK]
        fresh = registry.read_facts(chunk)
        cache_facts(registry, chunk, fresh, cache)
        yield from ((version, fresh[version.name, version.version]) for version in chunk)


def cache_facts(
    registry: Registry, versions: Sequence[ModelVersion], known: Mapping[tuple[str, str], VersionFacts], cache: Cache
) -> None:
    """Cache the facts that were read completely."""
    cache.put_all(
        {
            _key(registry, version): msgspec.msgpack.encode(facts)
            for version in versions
            if (facts := known[version.name, version.version]).files
            and not (facts.problem or facts.unread or facts.notes)
        }
    )


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
