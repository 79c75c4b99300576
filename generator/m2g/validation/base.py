"""What the repository was where the branch left its base, for rules that compare with it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TypeAlias

import msgspec

from m2g import kustomize
from m2g.core.config_types import Config, Kserve, Removals
from m2g.core.finding import Finding, Since
from m2g.core.manifest import Identity, Manifest, identify
from m2g.core.model import Value
from m2g.repository.layout import CONFIG, Key
from m2g.repository.state import Scope
from m2g.review import Side
from m2g.review.compare import compared
from m2g.validation import rules
from m2g.validation.rules import FLEET, INFERENCE_SERVICE

REMOVALS = "history-removals"
"""The rule of `removals`."""
_Place: TypeAlias = tuple[str, Identity]
"""(environment, identity)."""


class Against(Value, frozen=True, kw_only=True):
    """The Git ref whose merge base is compared with; `removals` is how many services may go, None for m2g.yaml's."""

    ref: str
    removals: int | None = None


class Past(Value, frozen=True, kw_only=True):
    """The objects of the merge base `base` whose overlays have changed, and which services there are no more.

    Services are `environment/namespace/name`: those of the changed overlays before and after; `elsewhere` are gone from
    other parts of the fleet, as far as names tell.
    """

    objects: Mapping[_Place, Manifest] = {}
    overlays: frozenset[Key] = frozenset()
    """Those that have changed."""
    services: frozenset[str] = frozenset()
    after: frozenset[str] = frozenset()
    elsewhere: frozenset[str] = frozenset()
    base: str = ""
    fleet: int = 0

    def before(self, environment: str, item: Manifest) -> Manifest | None:
        """The same object at the merge base."""
        return self.objects.get((environment, identify(item)))

    def removals(self, against: Against, config: Config | None) -> list[Finding]:
        """What is wrong with the change to the fleet as a whole: every part of it says so."""
        return removals((self.services - self.after) | self.elsewhere, self._allowed(against, config))

    def since(self, against: Against, config: Config | None) -> Since:
        """What `m2g merge` must know to say the same of all parts."""
        return Since(
            base=self.base,
            allowed=self._allowed(against, config),
            before=tuple(sorted(self.services)),
            after=tuple(sorted(self.after)),
        )

    def _allowed(self, against: Against, config: Config | None) -> int:
        bounds = Removals() if config is None else config.removals
        share = self.fleet * bounds.max_percent // 100
        return max(bounds.max_count, share) if against.removals is None else against.removals


def removals(gone: Collection[str], allowed: int) -> list[Finding]:
    """The finding for more services that are gone than are allowed."""
    places = sorted((environment, name) for environment, _, name in (text.split("/", 2) for text in gone))
    removed = [f"{name} ({environment})" for environment, name in places]
    item: Manifest = {"kind": FLEET, "removed": list(removed), "allowed": allowed}
    subject = rules.Subject(item=item, kserve=Kserve().version)
    return [msgspec.structs.replace(finding, file=CONFIG) for finding in rules.check(subject)]


def past(root: Path, against: str, scope: Scope, progress: kustomize.Progress) -> Past:
    """Ask Git. Raises InputError for a ref or history that is not there, OutsideError where git or kustomize fails."""
    found = compared(root, against, scope, progress=progress)
    # Where an overlay does not build, that is said; its missing objects are no news.
    broken = {key for key, overlay in found.new.overlays.items() if overlay.error}
    return Past(
        objects=_objects(found.old),
        overlays=frozenset((*found.old.overlays, *found.new.overlays)),
        services=_services(_objects(found.old, but=broken)),
        after=_services(_objects(found.new)),
        elsewhere=frozenset(f"{environment}//{slug}" for slug, environment in found.elsewhere),
        base=found.base,
        fleet=found.fleet,
    )


def _services(objects: Collection[_Place]) -> frozenset[str]:
    found = ((place, namespace, name) for place, (_, kind, namespace, name) in objects if kind == INFERENCE_SERVICE)
    return frozenset("/".join(parts) for parts in found)


def _objects(side: Side, *, but: Collection[Key] = ()) -> dict[_Place, Manifest]:
    return {
        (environment, identify(item)): item
        for (slug, environment), overlay in side.overlays.items()
        if (slug, environment) not in but
        for item in overlay.objects
    }
