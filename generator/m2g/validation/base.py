"""The state of the repository at the merge base, for rules that compare with it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TypeAlias

import msgspec

from m2g import kustomize
from m2g.core.config_types import Config, Kserve, Removals
from m2g.core.errors import InputError
from m2g.core.finding import Finding
from m2g.core.manifest import Identity, Manifest, identify
from m2g.core.model import Value
from m2g.git import read as git
from m2g.repository import config as configuration
from m2g.repository.layout import CONFIG, Key
from m2g.repository.state import Scope
from m2g.review import Side
from m2g.review.compare import build_comparison
from m2g.serving import backends
from m2g.validation import rules
from m2g.validation.rules import FLEET

_ObjectKey: TypeAlias = tuple[str, Identity]
"""(environment, identity)."""


class Against(Value, frozen=True, kw_only=True):
    """Compare with the merge base of this Git ref. At most `removals` services may be removed; None: see m2g.yaml."""

    ref: str
    removals: int | None = None


class BaseState(Value, frozen=True, kw_only=True):
    """The objects of the changed overlays at the merge base, and the services that the change removes.

    `overlays` are the changed ones, `fleet` is the number of all overlays at the merge base. `removed` are
    (environment, namespace, name); the namespace is empty for an overlay that another shard would build. `config` is
    the valid m2g.yaml of the branch that `ref` names, as it is now: a change that started before the bounds became
    narrower does not keep the old ones. `tip` is the commit of that branch. `changed` are the paths that differ from
    the merge base.
    """

    objects: Mapping[_ObjectKey, Manifest] = {}
    overlays: frozenset[Key] = frozenset()
    removed: frozenset[tuple[str, str, str]] = frozenset()
    fleet: int = 0
    config: Config | None = None
    ref: str = ""
    tip: str = ""
    changed: frozenset[str] = frozenset()

    @property
    def branch(self) -> str:
        """The name of the ref, without the commit."""
        return self.ref.partition(" ")[0]

    def is_changed(self, key: Key, item: Manifest) -> bool:
        """Whether the overlay does not build this very object at the merge base."""
        return key in self.overlays and self.find_object(key[1], item) != item

    def find_object(self, environment: str, item: Manifest) -> Manifest | None:
        """The same object at the merge base."""
        return self.objects.get((environment, identify(item)))

    def check_removals(self, against: Against, config: Config | None) -> list[Finding]:
        """The finding about more removed services than are allowed in the whole fleet; every shard reports it."""
        bounds = Removals() if config is None else config.removals
        share = self.fleet * bounds.max_percent // 100
        allowed = max(bounds.max_count, share) if against.removals is None else against.removals
        names = sorted((environment, name) for environment, _, name in self.removed)
        item: Manifest = {
            "kind": FLEET,
            "removed": [f"{name} ({environment})" for environment, name in names],
            "allowed": allowed,
        }
        obj = rules.CheckedObject(manifest=item, kserve=Kserve().version)
        return [msgspec.structs.replace(finding, file=CONFIG) for finding in rules.check(obj)]


def read_base(root: Path, against: str, scope: Scope, progress: kustomize.Progress) -> BaseState:
    """Build the changed overlays at the merge base and now.

    Raises InputError for a missing ref or history, OutsideError if git or kustomize fails.
    """
    comparison = build_comparison(root, against, scope, progress=progress)
    # An overlay that does not build now is a finding already: its objects do not count as removed.
    broken = {key for key, overlay in comparison.new.overlays.items() if overlay.error}
    tip = git.resolve_ref(root, against or git.find_default_base(root))
    before = _list_services(_list_objects(comparison.old, without=broken))
    after = _list_services(_list_objects(comparison.new))
    return BaseState(
        objects=_list_objects(comparison.old),
        overlays=frozenset((*comparison.old.overlays, *comparison.new.overlays)),
        removed=(before - after) | {(environment, "", slug) for slug, environment in comparison.elsewhere},
        fleet=comparison.fleet,
        config=_read_config(root, tip) or comparison.config,
        ref=comparison.against,
        tip=tip,
        changed=comparison.changed,
    )


def _read_config(root: Path, commit: str) -> Config | None:
    """The valid m2g.yaml of a commit, else None."""
    content = git.read_files(root, git.list_files(root, commit, [CONFIG])).get(CONFIG)
    try:
        return None if content is None else configuration.parse(content).config
    except InputError:
        return None


def _list_services(objects: Collection[_ObjectKey]) -> frozenset[tuple[str, str, str]]:
    kinds = backends.main_kinds()
    return frozenset(
        (environment, namespace, name) for environment, (_, kind, namespace, name) in objects if kind in kinds
    )


def _list_objects(side: Side, *, without: Collection[Key] = ()) -> dict[_ObjectKey, Manifest]:
    return {
        (environment, identify(item)): item
        for (slug, environment), overlay in side.overlays.items()
        if (slug, environment) not in without
        for item in overlay.objects
    }
