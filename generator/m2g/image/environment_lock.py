"""Lock what an environment needs, once: the same requirements keep their lock until the proposal with it is merged."""

from __future__ import annotations

import msgspec

from m2g.core.cache import Cache, key
from m2g.core.config_types import Config
from m2g.core.serving_environment import parse_lock
from m2g.image.environment_plan import Lock
from m2g.image.lock import lock_for_platforms
from m2g.image.package_index import check_indexes, list_indexes
from m2g.serving.environments import EnvironmentNeed

_DECODER = msgspec.msgpack.Decoder(str)


def make_lock(config: Config, cache: Cache, before: str) -> Lock:
    """The function that locks a need. It asks uv only for requirements that the cache does not have.

    Otherwise every new release of any package would make another environment each day, and another image.
    """

    def lock(need: EnvironmentNeed) -> str:
        check_indexes(need.model or f"the group {need.group}", need.indexes)
        platforms = config.images.platforms
        entry = key("environment-lock", need.python, before, *platforms, "", *need.lines, "", *list_indexes())
        known = cache.read(entry, _DECODER)
        if known is not None and parse_lock(known) is not None:
            return known
        text = lock_for_platforms(need.lines, python=need.python, platforms=platforms, before=before)
        cache.put(entry, msgspec.msgpack.encode(text))
        return text

    return lock
