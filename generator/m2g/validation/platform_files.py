"""The repository as a whole: its models, read one after the other, and the files that belong to none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import msgspec

from m2g import kustomize
from m2g.core.finding import Finding
from m2g.core.manifest import get_at
from m2g.core.shard import Shard
from m2g.repository import model_folder, ownership
from m2g.validation.models import Unit, Units

PLATFORM, FLEET = "platform", "fleet"
_FLUX = "kustomize.toolkit.fluxcd.io/"


class Beside(msgspec.Struct, frozen=True, kw_only=True):
    """Files that are applied as they are and belong to no model, and what is wrong with m2g's own among them."""

    files: tuple[kustomize.RawFile, ...]
    findings: tuple[Finding, ...]


class Fleet:
    """The models, each read when somebody comes to it: others can be built and judged in the meantime.

    `units` and `digests` (of the folders) are of those that were read, by slug.
    """

    def __init__(self, root: Path, units: Units, shard: Shard | None) -> None:
        self.root = root
        self.units: dict[str, Unit] = {}
        self.digests: dict[str, bytes] = {}
        self._applied: set[str] = set()
        self._reading = units.read(shard)

    def __iter__(self) -> Iterator[Unit]:
        """Every model, by slug."""
        yield from tuple(self.units.values())
        for folder, unit in self._reading:
            self.units[folder.slug] = unit
            self.digests[folder.slug] = folder.digest
            applied = {f"{FLEET}/{environment}/{folder.slug}.yaml" for environment in unit.overlays}
            self._applied |= applied & folder.files.keys()
            yield unit

    @property
    def names(self) -> dict[str, str]:
        """Slug to registered name, of all models."""
        return {unit.slug: unit.name for unit in self}

    @cached_property
    def beside(self) -> Beside:
        """What lies beside the models; reads all of them."""
        slugs = frozenset(self.names)
        found = kustomize.read_folder(self.root, PLATFORM)
        found += kustomize.read_folder(self.root, FLEET, lambda file: file not in self._applied)
        strays = model_folder.read_orphans(self.root, model_folder.list_fleet_environments(self.root), slugs)
        return Beside(files=tuple(found), findings=tuple(ownership.check_ownership(self.root, strays, slugs)))


def substituted(root: Path) -> bool:
    """Whether Flux expands variables in what this repository applies; m2g's own files say nothing of it."""
    return any(
        _substitutes(item)
        for file in _applied(root)
        if _may_substitute(root / file)
        for item in kustomize.read_file(root, file).objects
    )


def _applied(root: Path) -> Iterator[str]:
    """Every YAML file below platform/ and fleet/; of a linked folder of fleet/ those that apply an overlay."""
    for top in (PLATFORM, FLEET):
        for place, links, names in os.walk(root / top):
            below = os.path.relpath(place, root)
            yield from (f"{below}/{name}" for name in names if name.endswith((".yaml", ".yml")))
            for link in (link for link in links if below == FLEET and os.path.islink(f"{place}/{link}")):
                yield from (
                    f"{FLEET}/{link}/{slug}.yaml"
                    for slug in model_folder.list_slugs(root)
                    if os.path.isdir(f"{root}/models/{slug}/overlays/{link}")
                )


def _may_substitute(path: Path) -> bool:
    """Whether its text has the word, or an escape that could make it; of a link it is not known."""
    if not os.path.lexists(path):
        return False
    content = model_folder.read_plain_file(str(path))
    return content is None or b"postBuild" in content or b"\\" in content


def _substitutes(item: object) -> bool:
    """Whether it is a Flux Kustomization that expands variables."""
    return str(get_at(item, "apiVersion")).startswith(_FLUX) and bool(get_at(item, "spec", "postBuild"))
