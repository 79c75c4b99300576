"""The repository as a whole: its models, read one by one, and the files that belong to no model."""

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
from m2g.repository import layout, model_folder
from m2g.repository.layout import FLEET, PLATFORM
from m2g.validation import unknown_files
from m2g.validation.models import ModelChecks, ModelResult

_FLUX = "kustomize.toolkit.fluxcd.io/"


class PlatformFiles(msgspec.Struct, frozen=True, kw_only=True):
    """Files that are applied as they are and belong to no model, and the findings about those that m2g owns."""

    files: tuple[kustomize.RawFile, ...]
    findings: tuple[Finding, ...]


class Fleet:
    """The models. Each is checked when the iteration reaches it, so that earlier ones can be built in the meantime.

    `models` (results) and `digests` (of the folders) contain the models that were checked so far, by slug.
    """

    def __init__(self, root: Path, checks: ModelChecks, shard: Shard | None) -> None:
        self.root = root
        self.models: dict[str, ModelResult] = {}
        self.digests: dict[str, bytes] = {}
        self._flux_files: set[str] = set()
        self._pending = checks.check_models(shard)

    def __iter__(self) -> Iterator[ModelResult]:
        """Every model, by slug."""
        yield from tuple(self.models.values())
        for folder, model in self._pending:
            self.models[folder.slug] = model
            self.digests[folder.slug] = folder.digest
            flux_files = {layout.flux_file(folder.slug, environment) for environment in model.overlays}
            self._flux_files |= flux_files & folder.files.keys()
            yield model

    @property
    def names(self) -> dict[str, str]:
        """Slug to registered name, of all models."""
        return {model.slug: model.name for model in self}

    @cached_property
    def platform_files(self) -> PlatformFiles:
        """The files that belong to no model; checks all models first."""
        slugs = frozenset(self.names)
        files = kustomize.read_folder(self.root, PLATFORM)
        files += kustomize.read_folder(self.root, FLEET, lambda file: file not in self._flux_files)
        findings = unknown_files.find_elsewhere(self.root, slugs)
        return PlatformFiles(files=tuple(files), findings=tuple(findings))


def uses_substitution(root: Path) -> bool:
    """Whether Flux replaces variables in the objects of this repository; m2g's own files do not use it."""
    return any(
        _substitutes(item)
        for file in _list_files(root)
        if _may_substitute(root / file)
        for item in kustomize.read_file(root, file).objects
    )


def _list_files(root: Path) -> Iterator[str]:
    """Every YAML file below platform/ and fleet/; in a symlinked folder of fleet/, those that apply an overlay."""
    for top in (PLATFORM, FLEET):
        for place, folders, names in os.walk(root / top):
            below = os.path.relpath(place, root)
            yield from (f"{below}/{name}" for name in names if name.endswith((".yaml", ".yml")))
            for folder in (folder for folder in folders if below == FLEET and os.path.islink(f"{place}/{folder}")):
                yield from (
                    layout.flux_file(slug, folder)
                    for slug in model_folder.list_slugs(root)
                    if (root / layout.overlay(slug, folder)).is_dir()
                )


def _may_substitute(path: Path) -> bool:
    """Whether its text contains postBuild, or an escape that could encode it; a symlink may."""
    if not os.path.lexists(path):
        return False
    content = model_folder.read_plain_file(str(path))
    return content is None or b"postBuild" in content or b"\\" in content


def _substitutes(item: object) -> bool:
    """Whether it is a Flux Kustomization that replaces variables."""
    return str(get_at(item, "apiVersion")).startswith(_FLUX) and bool(get_at(item, "spec", "postBuild"))
