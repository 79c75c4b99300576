"""What the repository was where the branch left its base, for rules that compare with it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TypeAlias

import msgspec

from m2g import kustomize
from m2g.core.config_types import Config, Kserve, Removals
from m2g.core.finding import Finding
from m2g.core.manifest import Identity, Manifest, identify
from m2g.core.model import Value
from m2g.repository.layout import CONFIG, Key
from m2g.repository.state import Scope
from m2g.review import Side
from m2g.review.compare import compared
from m2g.serving import backends
from m2g.validation import rules
from m2g.validation.rules import FLEET

_Place: TypeAlias = tuple[str, Identity]
"""(environment, identity)."""


class Against(Value, frozen=True, kw_only=True):
    """The Git ref whose merge base is compared with; `removals` is how many services may go, None for m2g.yaml's."""

    ref: str
    removals: int | None = None


class Past(Value, frozen=True, kw_only=True):
    """The objects of the merge base whose overlays have changed, and which services there are no more.

    `gone` are (environment, namespace, name), with no namespace where another part of the fleet lost an overlay.
    """

    objects: Mapping[_Place, Manifest] = {}
    overlays: frozenset[Key] = frozenset()
    """Those that have changed."""
    gone: frozenset[tuple[str, str, str]] = frozenset()
    fleet: int = 0

    def before(self, environment: str, item: Manifest) -> Manifest | None:
        """The same object at the merge base."""
        return self.objects.get((environment, identify(item)))

    def removals(self, against: Against, config: Config | None) -> list[Finding]:
        """The finding for more services that are gone than are allowed, in the fleet as a whole: every part says it."""
        bounds = Removals() if config is None else config.removals
        share = self.fleet * bounds.max_percent // 100
        allowed = max(bounds.max_count, share) if against.removals is None else against.removals
        places = sorted((environment, name) for environment, _, name in self.gone)
        removed = [f"{name} ({environment})" for environment, name in places]
        item: Manifest = {"kind": FLEET, "removed": removed, "allowed": allowed}
        subject = rules.CheckedObject(manifest=item, kserve=Kserve().version)
        return [msgspec.structs.replace(finding, file=CONFIG) for finding in rules.check(subject)]


def past(root: Path, against: str, scope: Scope, progress: kustomize.Progress) -> Past:
    """Ask Git. Raises InputError for a ref or history that is not there, OutsideError where git or kustomize fails."""
    found = compared(root, against, scope, progress=progress)
    # Where an overlay does not build, that is said; its missing objects are no news.
    broken = {key for key, overlay in found.new.overlays.items() if overlay.error}
    return Past(
        objects=_objects(found.old),
        overlays=frozenset((*found.old.overlays, *found.new.overlays)),
        gone=(_services(_objects(found.old, but=broken)) - _services(_objects(found.new)))
        | {(environment, "", slug) for slug, environment in found.elsewhere},
        fleet=found.fleet,
    )


def _services(objects: Collection[_Place]) -> frozenset[tuple[str, str, str]]:
    kinds = backends.main_kinds()
    return frozenset((place, space, name) for place, (_, kind, space, name) in objects if kind in kinds)


def _objects(side: Side, *, but: Collection[Key] = ()) -> dict[_Place, Manifest]:
    return {
        (environment, identify(item)): item
        for (slug, environment), overlay in side.overlays.items()
        if (slug, environment) not in but
        for item in overlay.objects
    }
