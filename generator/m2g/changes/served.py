"""List how the releases that a run writes are served, and how they were served before."""

from __future__ import annotations

from collections.abc import Mapping

from m2g.core.manifest import read_all
from m2g.core.model import Release
from m2g.core.results import Served
from m2g.rendering.gitops import kustomization
from m2g.repository import layout
from m2g.repository.layout import Key
from m2g.repository.state import Repository
from m2g.serving.decide import choose_serving
from m2g.serving.spec import ServingChoice

_PROFILE = "/metadata/annotations/m2g.dev~1profile"


def list_served(
    repository: Repository,
    records: Mapping[Key, Release],
    moved: Mapping[Key, ServingChoice],
    before: Mapping[str, bytes],
    after: Mapping[str, bytes],
) -> tuple[Served, ...]:
    """One entry for each release in `moved`, and for each whose profile changes.

    `before` and `after` are the files that the run writes, with the old and the new content.
    """
    result: list[Served] = []
    for path in sorted(after):
        location = layout.parse_path(path) if path.endswith(f"/{kustomization.PATCH}") else None
        if location is None or location.part != layout.OVERLAYS:
            continue
        key = (location.slug, location.environment)
        if key not in records:
            continue
        old = _read_profile(before.get(path, b""))
        if key not in moved and not old:
            continue
        chosen = moved.get(key) or choose_serving(repository, key[0], records[key])
        if key not in moved and old == chosen.profile:
            continue
        result.append(
            Served(
                slug=key[0],
                model=records[key].model,
                environment=key[1],
                profile=chosen.profile,
                protocol=chosen.protocol,
                reason=chosen.reason,
                before="" if old == chosen.profile else old,
            )
        )
    return tuple(result)


def _read_profile(patch: bytes) -> str:
    """The profile that an overlay's patch sets; empty if it is not a patch of m2g."""
    try:
        documents = read_all(patch.decode())
    except ValueError:
        return ""
    operations = [one for document in documents if isinstance(document, list) for one in document]
    return next(
        (str(one.get("value")) for one in operations if isinstance(one, dict) and one.get("path") == _PROFILE), ""
    )
