"""Which releases use which serving environment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from m2g.repository.layout import Key
from m2g.repository.state import Repository
from m2g.serving.decide import choose_serving


def list_users(repository: Repository) -> Mapping[str, tuple[Key, ...]]:
    """Environment id to the keys of the releases that use it, sorted."""
    users: dict[str, list[Key]] = defaultdict(list)
    for key, release in sorted(repository.records.items()):
        known = key[1] in repository.config.environments
        if known and (name := choose_serving(repository, key[0], release).environment):
            users[name].append(key)
    return {name: tuple(keys) for name, keys in sorted(users.items())}
