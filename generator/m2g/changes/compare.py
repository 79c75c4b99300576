"""What must be written and removed so that the tree is what it should be, and what must not be lost by that."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import msgspec

from m2g.changes.removal_cap import refuse_mass_removal
from m2g.core import safe_files as reading
from m2g.core.disk_tree import DiskTree, select_paths
from m2g.core.errors import InputError
from m2g.core.finding import Finding
from m2g.core.model import Value
from m2g.core.stamp import StampState, Tree, check_stamp, has_stamp, is_same
from m2g.rendering.model import Desired
from m2g.repository import layout, load, model_folder, ownership
from m2g.repository.load import LoadedRepository
from m2g.repository.model_folder import ModelFolder
from m2g.repository.state import Scope
from m2g.resolution.resolve import Resolved


class Allowed(Value, frozen=True, kw_only=True):
    """What a run may do: `writes` or only tell, lose hand `edits`, remove so many releases (None: as m2g.yaml says)."""

    scope: Scope
    writes: bool
    edits: bool
    removals: int | None


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """The files to write and to remove; `current` is what is in their place.

    `right` are digests of models' folders that are, or will be, exactly what is wanted.
    """

    files: Tree
    removals: set[str]
    notes: list[Finding]
    current: Mapping[str, bytes]
    right: list[bytes]


def difference(root: Path, held: LoadedRepository, resolved: Resolved, wanted: Desired, allowed: Allowed) -> Difference:
    """What differs from what is wanted. Raises InputError where a write would lose a person's work or a fleet."""
    state = held.repository
    concern = _Concern(
        names={slug: record.model for (slug, _), record in (*state.records.items(), *resolved.records.items())},
        scope=allowed.scope,
        frozen=wanted.frozen,
        kept=wanted.files,
    )
    found = _Found()
    paths = _by_slug(wanted.files)
    for folder in load.read_folders(root, to_render(held, resolved)):
        given = {path: wanted.files[path] for path in paths.get(folder.slug, ())}
        before = held.digests.get(folder.slug, model_folder.EMPTY_DIGEST)
        found.add(folder, _current(root, folder, given), given, concern, known=folder.digest == before)
    gone = {
        key for path in found.removals if (key := layout.parse_overlay_path(path)) and path == layout.overlay_file(*key)
    }
    gone |= set(resolved.removed)
    refuse_mass_removal(state, gone, empty=resolved.empty, cap=allowed.removals)
    notes = [ownership.describe_foreign_file(path) for path in sorted(found.foreign)]
    if found.edited and not allowed.edits:
        if allowed.writes:
            raise _edited(sorted(found.edited))
        notes += [ownership.describe_hand_edit(path) for path in sorted(found.edited)]
    return Difference(
        files=select_paths(wanted.files, sorted(found.changed)),
        removals=found.removals,
        notes=notes,
        current=found.current,
        right=[*found.right, *(found.coming if allowed.writes else ())],
    )


def _current(root: Path, folder: ModelFolder, given: Iterable[str]) -> dict[str, bytes]:
    """What lies in m2g's places of a model. Raises InputError and OutsideError for what cannot be read."""
    current = {path: folder.read(root, path) for path in folder.list_owned()}
    for path in given:
        if path not in current and os.path.lexists(f"{root}/{path}"):  # no file: the reader says what is wrong with it
            current[path] = reading.read(root, path)
    return current


class _Found:
    """What was found out, one model after the other; of what is in memory only paths and digests grow with a fleet."""

    def __init__(self) -> None:
        self.changed: set[str] = set()
        self.removals: set[str] = set()
        self.foreign: set[str] = set()
        self.edited: set[str] = set()
        self.current = DiskTree()
        self.right: list[bytes] = []
        """Digests of folders that are what is wanted already."""
        self.coming: list[bytes] = []
        """Digests of folders that will be, once it is written."""

    def add(
        self,
        folder: ModelFolder,
        current: Mapping[str, bytes],
        given: Mapping[str, bytes],
        concern: _Concern,
        *,
        known: bool,
    ) -> None:
        """Compare one model's files. `known`: they are those that `given` was made for, untouched since."""
        changed = {
            path for path, content in given.items() if path not in current or not is_same(current[path], content)
        }
        rebased = any(_place(path).part == layout.BASE for path in changed)
        changed = {path for path in changed if concern.has(path, rebased=rebased)}
        stale = {path for path in current if path not in concern.kept and concern.has(path, rebased=rebased)}
        removals = {path for path in stale if check_stamp(current[path]) is not StampState.FOREIGN}
        touched = {path: current[path] for path in changed | removals if path in current}
        self.changed |= changed
        self.removals |= removals
        self.foreign |= stale - removals
        self.edited |= {path for path, content in touched.items() if _is_edited(content)}
        self.current.put(touched)
        after = folder.apply_changes({path: given[path] for path in changed}, removals)
        if known and given and after.list_owned() == sorted(given) and given.items() <= after.files.items():
            (self.coming if changed or removals else self.right).append(after.digest)


def _is_edited(content: bytes) -> bool:
    """Whether a person's work would be lost. Both sides of a merge of m2g's own output are in Git."""
    state = check_stamp(content)
    return (
        state is StampState.EDITED
        or state is StampState.FOREIGN
        or (state is StampState.CONFLICTED and not has_stamp(content))
    )


class _Concern(Value, frozen=True, kw_only=True):
    """Which paths this run may touch."""

    names: Mapping[str, str]
    scope: Scope
    frozen: frozenset[str]
    kept: Collection[str]

    def has(self, path: str, *, rebased: bool) -> bool:
        """`rebased`: the base of its model changes, and all its overlays change with it or none fits."""
        place = _place(path)
        slug, environment = place.slug, place.environment
        if slug in self.frozen and path not in self.kept:
            return False
        if not self.scope.includes_model(slug, self.names.get(slug, slug)):
            return False
        narrowed = environment and self.scope.environments and environment not in self.scope.environments
        return rebased or not narrowed


def _edited(paths: Collection[str]) -> InputError:
    shown = "\n  ".join(list(paths)[:20])
    return InputError(
        f"edited by hand, and m2g owns these files:\n  {shown}",
        hint="move the change to models/<slug>/custom/<env>/ (a kustomize Component) or model.yaml and undo it here "
        "(git checkout), or throw it away with --discard-edits; the tree is as it was",
    )


def to_render(held: LoadedRepository, resolved: Resolved) -> frozenset[str]:
    """The models whose files are not known to be right, and those that moved."""
    state = held.repository
    before, after = state.records, resolved.records
    moved = {key[0] for key in {*before, *after} if before.get(key) != after.get(key)}
    return frozenset((state.slugs | {slug for slug, _ in after}) - state.up_to_date | moved)


def _by_slug(paths: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        found[_place(path).slug].append(path)
    return found


def _place(path: str) -> layout.Location:
    """The place of one of m2g's own files."""
    return layout.parse_path(path) or layout.Location(slug="")
