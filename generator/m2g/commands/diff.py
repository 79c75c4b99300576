"""`m2g diff`: the working tree against where it left a ref, model by model, with the objects that both build."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import msgspec

from m2g import kustomize
from m2g.commands.served import choices
from m2g.core import tempdirs
from m2g.core.manifest import Manifest, read_all
from m2g.core.model import Release, Value
from m2g.git import read
from m2g.repository import records as releases
from m2g.resolution.resolve import Scope
from m2g.review import Key, Overlay, Review, Side, reach, review


class Compared(Value, frozen=True, kw_only=True):
    """Both sides, with the overlays that are made of a changed file; `fleet` is how many overlays the old side has.

    `elsewhere` are overlays of other parts of the fleet that are no more.
    """

    against: str
    base: str
    old: Side
    new: Side
    fleet: int
    elsewhere: frozenset[Key]
    files: frozenset[str]
    notes: frozenset[str]


class _Half(Value, frozen=True, kw_only=True):
    """One side before it is built. `folder` is where its files lie."""

    folder: Path
    records: Mapping[Key, Release]
    overlays: frozenset[Key]
    notes: tuple[str, ...]


def diff(
    root: Path, against: str, scope: Scope, *, progress: kustomize.Progress = lambda what, done, total: None
) -> Review:
    """Compare the files below `root` as they are with the merge base of HEAD and `against` (empty: the usual base).

    Raises InputError for a ref, a repository or a history that is not there, OutsideError where git or kustomize fails.
    """
    found = compared(root, against, scope, progress=progress)
    return review(found.old, found.new, against=found.against, files=found.files, notes=found.notes)


def compared(
    root: Path, against: str, scope: Scope, *, progress: kustomize.Progress = lambda what, done, total: None
) -> Compared:
    """The two sides of `diff`, built. Raises what it raises."""
    ref = against or read.usual_base(root)
    base = read.merge_base(root, ref)
    changed = read.changed(root, base)
    entries = read.files(root, base)
    models = {key[0] for key in _overlays(root)}
    models |= {path.split("/")[1] for path, entry in entries.items() if _in_model(path) or _is_model(path, entry)}
    led = reach.beyond(root, entries) if changed else {}
    slugs = frozenset(_slug(path, models) for path in changed) - {""} | reach.touched(led, changed)
    places = frozenset(place for slug in slugs for place in led.get(slug, ()))
    with tempdirs.folder() as folder:
        read.extract(root, {path: entry for path, entry in entries.items() if _needed(path, slugs, places)}, folder)
        old, new = _half(folder, slugs, f" at {ref}"), _half(root.resolve(), slugs, "")
        names = {key: record.model for key, record in (*old.records.items(), *new.records.items())}
        keys = {key for key in old.overlays | new.overlays if scope.has(key, names.get(key, key[0]))}
        whole = msgspec.structs.replace(scope, shard=None)
        lost = {key for key in old.overlays - new.overlays if whole.has(key, names.get(key, key[0]))} - keys
        wanted = _touched(old, new, keys, changed)
        sides = [_built(half, wanted & half.overlays, scope, names, progress) for half in (old, new)]
    return Compared(
        against=f"{ref} ({base[:12]})",
        base=base,
        old=sides[0],
        new=sides[1],
        fleet=len({_overlay_of(path) for path in entries} - {None}),
        elsewhere=frozenset(lost),
        files=frozenset(path for path in changed if not _slug(path, models)),
        notes=frozenset((*old.notes, *new.notes)),
    )


def _in_model(path: str) -> bool:
    return path.startswith("models/") and path.count("/") > 1


def _is_model(path: str, entry: read.Entry) -> bool:
    """A model's folder can be a link."""
    return entry.is_link and path.startswith("models/") and path.count("/") == 1


def _overlay_of(path: str) -> Key | None:
    """The overlay that a file belongs to."""
    parts = path.split("/")
    return (parts[1], parts[3]) if len(parts) > 4 and parts[0] == "models" and parts[2] == "overlays" else None


def _slug(path: str, models: Collection[str]) -> str:
    """The model that a file belongs to; empty for none."""
    if _in_model(path) or (path.startswith("models/") and path.removeprefix("models/") in models):
        return path.split("/")[1]
    stem = path.rpartition("/")[2].removesuffix(".yaml")
    return stem if path.startswith("fleet/") and path.count("/") == 2 and stem in models else ""


def _needed(path: str, slugs: Collection[str], places: Collection[str]) -> bool:
    """Whether the overlays of these models can refer to it, or it says how they are applied."""
    if not path.startswith(("models/", "fleet/")) or _slug(path, slugs) in slugs:
        return True
    return path in places or any(folder in places for folder in reach.above(path))


def _half(folder: Path, slugs: Collection[str], where: str) -> _Half:
    records: dict[Key, Release] = {}
    notes: list[str] = []
    for path in sorted(p for p in folder.glob("models/*/releases/*.json") if p.parts[-3] in slugs):
        file = path.relative_to(folder).as_posix()
        if path.is_symlink():
            continue  # it may lead anywhere
        try:
            records[path.parts[-3], path.stem] = releases.decode(path.read_bytes())
        except (msgspec.DecodeError, ValueError, OSError, RecursionError):
            notes.append(f"{file}{where} is no release record, so its facts are missing")
    overlays = frozenset(key for key in _overlays(folder) if key[0] in slugs)
    return _Half(folder=folder, records=records, overlays=overlays, notes=tuple(notes))


def _overlays(folder: Path) -> frozenset[Key]:
    found = (folder / "models").glob("*/overlays/*")
    return frozenset((path.parts[-3], path.name) for path in found if path.is_dir())


def _touched(old: _Half, new: _Half, keys: Collection[Key], changed: Collection[str]) -> frozenset[Key]:
    """The overlays that are made of a changed file, on either side, or cannot be read."""
    readers = [(half, kustomize.Reader(half.folder)) for half in (old, new)]
    found = {key for key in keys if (key in old.overlays) != (key in new.overlays)}
    for key in set(keys) - found:
        graphs = [reader.graph(_folder(key)) for half, reader in readers if key in half.overlays]
        if _applied(key) in changed or any(_may_differ(graph, changed) for graph in graphs):
            found.add(key)
    return frozenset(found)


def _may_differ(graph: kustomize.Graph, changed: Collection[str]) -> bool:
    return bool(graph.problem) or graph.linked or graph.plugins or not graph.files.keys().isdisjoint(changed)


def _built(
    half: _Half, keys: Collection[Key], scope: Scope, names: Mapping[Key, str], progress: kustomize.Progress
) -> Side:
    folders = {key: _folder(key) for key in sorted(keys)}
    built = kustomize.build(half.folder, list(folders.values()), progress=progress)
    how = choices(half.folder, {key: half.records[key] for key in keys if key in half.records})
    return Side(
        releases={key: record for key, record in half.records.items() if scope.has(key, names.get(key, key[0]))},
        overlays={
            key: Overlay(
                objects=(*built[folder].objects, *_flux(half.folder, key)),
                error=built[folder].error,
                chosen=how.get(key),
            )
            for key, folder in folders.items()
        },
    )


def _flux(folder: Path, key: Key) -> list[Manifest]:
    """The Flux Kustomization that applies the overlay, where there is one."""
    path = folder / _applied(key)
    if path.is_symlink() or not path.is_file():
        return []
    try:
        return [item for item in read_all(path.read_text()) if isinstance(item, dict)]
    except (OSError, ValueError):
        return []


def _folder(key: Key) -> str:
    return f"models/{key[0]}/overlays/{key[1]}"


def _applied(key: Key) -> str:
    return f"fleet/{key[1]}/{key[0]}.yaml"
