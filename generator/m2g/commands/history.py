"""What the repository was where the branch left its base, for rules that compare with it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TypeAlias

import msgspec

from m2g import checks, kustomize
from m2g.checks import FLEET, INFERENCE_SERVICE
from m2g.commands import diff
from m2g.commands.resolve import Scope
from m2g.config import FILE
from m2g.finding import Finding
from m2g.intent import Config, Kserve, Removals
from m2g.manifest import Identity, Manifest, identity
from m2g.model import Value
from m2g.review import Key, Side

_Place: TypeAlias = tuple[str, Identity]
"""(environment, identity)."""


class Against(Value, frozen=True, kw_only=True):
    """The Git ref whose merge base is compared with; `removals` is how many services may go, None for m2g.yaml's."""

    ref: str
    removals: int | None = None


class Past(Value, frozen=True, kw_only=True):
    """The objects of the merge base whose overlays have changed, and which services are no more."""

    objects: Mapping[_Place, Manifest] = {}
    overlays: frozenset[Key] = frozenset()
    """Those that have changed."""
    removed: tuple[str, ...] = ()
    fleet: int = 0

    def before(self, environment: str, item: Manifest) -> Manifest | None:
        """The same object at the merge base."""
        return self.objects.get((environment, identity(item)))

    def removals(self, against: Against, config: Config | None) -> list[Finding]:
        """What is wrong with the change to the fleet as a whole."""
        bounds = Removals() if config is None else config.removals
        share = self.fleet * bounds.max_percent // 100
        allowed = max(bounds.max_count, share) if against.removals is None else against.removals
        item: Manifest = {"kind": FLEET, "removed": list(self.removed), "allowed": allowed}
        subject = checks.Subject(item=item, kserve=Kserve().version)
        return [msgspec.structs.replace(finding, file=FILE) for finding in checks.check(subject)]


def past(root: Path, against: str, scope: Scope, progress: kustomize.Progress) -> Past:
    """Ask Git. Raises InputError for a ref or history that is not there, OutsideError where git or kustomize fails."""
    found = diff.compared(root, against, scope, progress=progress)
    # Where an overlay does not build, that is said; its missing objects are no news.
    broken = {key for key, overlay in found.new.overlays.items() if overlay.error}
    gone = _objects(found.old, but=broken).keys() - _objects(found.new).keys()
    removed = [f"{name} ({place})" for place, (_, kind, _, name) in sorted(gone) if kind == INFERENCE_SERVICE]
    return Past(
        objects=_objects(found.old),
        overlays=frozenset((*found.old.overlays, *found.new.overlays)),
        removed=tuple(removed),
        fleet=found.fleet,
    )


def _objects(side: Side, *, but: Collection[Key] = ()) -> dict[_Place, Manifest]:
    return {
        (environment, identity(item)): item
        for (slug, environment), overlay in side.overlays.items()
        if (slug, environment) not in but
        for item in overlay.objects
    }
