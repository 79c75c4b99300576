"""Build the two states that a review compares: the working tree, and its merge base with a ref."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import msgspec

from m2g import kustomize
from m2g.core import tempdirs
from m2g.core.config_types import Config
from m2g.core.manifest import Manifest
from m2g.core.model import Release, Value
from m2g.git import read as git
from m2g.repository import layout, model_folder
from m2g.repository import records as releases
from m2g.repository.layout import Key
from m2g.repository.state import Scope
from m2g.review import reach
from m2g.review.outside import describe_changes
from m2g.review.values import Concern, Overlay, Side
from m2g.review.written import read_config, write_objects


class Comparison(Value, frozen=True, kw_only=True):
    """Both sides, with the overlays that use a changed file. `fleet` is the number of all overlays of the old side.

    `elsewhere` are removed overlays of other shards. `files` are the changed files that belong to no model; `outside`
    says what changed in them, and in those of models that no overlay builds. `config` is the valid m2g.yaml of the old
    side; `changed` are all paths that differ.
    """

    against: str
    old: Side
    new: Side
    fleet: int
    elsewhere: frozenset[Key]
    files: frozenset[str]
    notes: frozenset[str]
    outside: tuple[Concern, ...] = ()
    config: Config | None = None
    changed: frozenset[str] = frozenset()


class _Unbuilt(Value, frozen=True, kw_only=True):
    """One side before it is built. `folder` contains its files."""

    folder: Path
    records: Mapping[Key, Release]
    overlays: frozenset[Key]
    notes: tuple[str, ...]


def build_comparison(
    root: Path, against: str, scope: Scope, *, progress: kustomize.Progress = lambda what, done, total: None
) -> Comparison:
    """Build both sides. Raises InputError for a missing ref or history, OutsideError if git or kustomize fails."""
    ref = against or git.find_default_base(root)
    base = git.find_merge_base(root, ref)
    changed = git.list_changed(root, base)
    entries = git.list_files(root, base)
    models = {key[0] for key in model_folder.list_overlays(root)}
    models |= {_find_slug_at_base(path, entry) for path, entry in entries.items()} - {""}
    outside = reach.find_outside_paths(root, entries) if changed else {}
    slugs = frozenset(_find_slug(path, models) for path in changed) - {""} | reach.find_affected(outside, changed)
    paths = frozenset(path for slug in slugs for path in outside.get(slug, ()))
    with tempdirs.open_folder() as folder:
        needed = {path for path in entries if path in changed or _is_needed(path, slugs, paths)}
        git.extract(root, {path: entries[path] for path in needed}, folder)
        old, new = _read_side(folder, slugs, f" at {ref}"), _read_side(root.resolve(), slugs, "")
        names = {key: record.model for key, record in (*old.records.items(), *new.records.items())}
        keys = {key for key in old.overlays | new.overlays if scope.includes(key, names.get(key, key[0]))}
        whole = msgspec.structs.replace(scope, shard=None)
        lost = {key for key in old.overlays - new.overlays if whole.includes(key, names.get(key, key[0]))} - keys
        wanted, built = _find_changed(old, new, changed)
        wanted &= keys
        sides = [_build(side, wanted & side.overlays, scope, names, progress) for side in (old, new)]
        config = read_config(folder)
        known = {path: _is_of_overlay(path, models, old.overlays | new.overlays) for path in changed}
        concerns = describe_changes(folder, root, known, built)
    return Comparison(
        against=f"{ref} ({base[:12]})",
        old=sides[0],
        new=sides[1],
        fleet=len({overlay for path in entries if (overlay := layout.parse_overlay_path(path))}),
        elsewhere=frozenset(lost),
        files=frozenset(path for path in changed if not _find_slug(path, models)),
        notes=frozenset((*old.notes, *new.notes)),
        outside=tuple(concerns),
        config=config,
        changed=changed,
    )


def _find_slug_at_base(path: str, entry: git.Entry) -> str:
    """The slug of the model that a path of a commit belongs to; empty for none. A model's folder can be a symlink."""
    place = layout.parse_path(path)
    if place is None or place.part == layout.FLEET or not (place.part or entry.is_symlink):
        return ""
    return place.slug


def _find_slug(path: str, models: Collection[str]) -> str:
    """The slug of the model that a file belongs to; empty for none."""
    place = layout.parse_path(path)
    if place is None or not (place.slug in models or place.part not in ("", layout.FLEET)):
        return ""
    return place.slug if place.part != layout.FLEET or path.endswith(".yaml") else ""


def _is_needed(path: str, slugs: Collection[str], outside: Collection[str]) -> bool:
    """Whether the overlays of these models can refer to the file, or the file applies them."""
    if layout.find_top_folder(path) not in (layout.MODELS, layout.FLEET) or _find_slug(path, slugs) in slugs:
        return True
    return path in outside or any(folder in outside for folder in reach.list_parents(path))


def _read_side(folder: Path, slugs: Collection[str], where: str) -> _Unbuilt:
    records: dict[Key, Release] = {}
    notes: list[str] = []
    for slug in sorted(slugs):
        part = model_folder.read_part(folder, slug, layout.RELEASES)
        for file in part.list_files(layout.RELEASES, ".json"):
            if file in part.special_files:
                continue  # a symlink may lead anywhere
            try:
                records[slug, layout.parse_record_path(file)] = releases.decode(part.files[file])
            except (msgspec.DecodeError, ValueError, RecursionError):
                notes.append(f"{file}{where} is not a release record, so its facts are missing")
    overlays = frozenset(key for key in model_folder.list_overlays(folder) if key[0] in slugs)
    return _Unbuilt(folder=folder, records=records, overlays=overlays, notes=tuple(notes))


def _is_of_overlay(path: str, models: Collection[str], overlays: Collection[Key]) -> bool:
    """Whether it is a file of a model, and if it applies an overlay, whether there is one."""
    place = layout.parse_path(path)
    if place is not None and place.part == layout.FLEET and (place.slug, place.environment) not in overlays:
        return False
    return bool(_find_slug(path, models))


def _find_changed(old: _Unbuilt, new: _Unbuilt, changed: Collection[str]) -> tuple[frozenset[Key], frozenset[str]]:
    """The overlays that use a changed file on either side, or cannot be read; and the changed files that they build.

    A file that still exists is built only if an overlay of the new side uses it.
    """
    overlays = set(old.overlays ^ new.overlays)
    built: set[str] = set()
    for side in (old, new):
        reader = kustomize.GraphReader(side.folder)
        for key in sorted(side.overlays):
            graph = reader.read(layout.overlay(*key))
            used = graph.files.keys() & changed
            built.update(path for path in used if side is new or not (new.folder / path).exists())
            if layout.flux_file(*key) in changed or used or _may_differ(graph):
                overlays.add(key)
    return frozenset(overlays), frozenset(built)


def _may_differ(graph: kustomize.Graph) -> bool:
    """Whether it can build something else although no file that it is known to use has changed."""
    return bool(graph.error) or graph.linked or graph.plugins


def _build(
    side: _Unbuilt, keys: Collection[Key], scope: Scope, names: Mapping[Key, str], progress: kustomize.Progress
) -> Side:
    folders = {key: layout.overlay(*key) for key in sorted(keys)}
    built = kustomize.build_overlays(side.folder, list(folders.values()), progress=progress)
    written = write_objects(side.folder, {key: side.records[key] for key in keys if key in side.records})
    return Side(
        releases={key: record for key, record in side.records.items() if scope.includes(key, names.get(key, key[0]))},
        overlays={
            key: Overlay(
                objects=(*built[folder].objects, *_read_flux_file(side.folder, key)),
                error=built[folder].error,
                chosen=written[key].choice if key in written else None,
                written=written[key].objects if key in written else (),
                custom=(side.folder / layout.component(*key)).exists(),
            )
            for key, folder in folders.items()
        },
    )


def _read_flux_file(folder: Path, key: Key) -> list[Manifest]:
    """The Flux Kustomization that applies the overlay, if there is one, and whatever else is in its file."""
    path = layout.flux_file(*key)
    if (folder / path).is_symlink() or not (folder / path).is_file():
        return []
    return [item for item in kustomize.read_file(folder, path).objects if isinstance(item, dict)]
