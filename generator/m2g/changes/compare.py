"""Compare the rendered files with those on disk: what to write, what to remove, and what must not be lost."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from m2g.changes.removal_cap import check_removals
from m2g.core import safe_files
from m2g.core.disk_tree import DiskTree, select_paths
from m2g.core.errors import InputError
from m2g.core.finding import Finding
from m2g.core.model import Value
from m2g.core.stamp import StampState, Tree, check_stamp, has_stamp, is_same
from m2g.rendering.model import RenderedTree
from m2g.repository import layout, load, model_folder, ownership
from m2g.repository.load import LoadedRepository
from m2g.repository.model_folder import ModelFolder
from m2g.repository.state import Scope
from m2g.resolution.resolve import Resolved


class Permissions(Value, frozen=True, kw_only=True):
    """What a run may do: write (`writes`), overwrite hand `edits`, remove `removals` releases (None: see m2g.yaml).

    `models` are the slugs to compare, and no file outside of them. None compares every model that may differ.
    """

    scope: Scope
    writes: bool
    edits: bool
    removals: int | None
    models: frozenset[str] | None = None


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """The files to write and to remove. `current` has their present content.

    `up_to_date` are the digests of the model folders that match the rendered files, now or after the write.
    """

    files: Tree
    removals: set[str]
    notes: list[Finding]
    current: Mapping[str, bytes]
    up_to_date: list[bytes]


def compare_with_disk(
    root: Path, loaded: LoadedRepository, resolved: Resolved, rendered: RenderedTree, permissions: Permissions
) -> Difference:
    """Compare the rendered files with those on disk.

    Raises InputError if a write would overwrite hand edits or remove too many releases.
    """
    state = loaded.repository
    reach = _Reach(
        names={slug: record.model for (slug, _), record in (*state.records.items(), *resolved.records.items())},
        scope=permissions.scope,
        frozen=rendered.frozen,
        kept=rendered.files,
    )
    comparison = _Comparison()
    paths = _group_by_slug(rendered.files)
    some = permissions.models
    for folder in load.read_folders(root, find_models_to_render(loaded, resolved) if some is None else some):
        if some is not None and not folder.slug:
            continue
        files = {path: rendered.files[path] for path in paths.get(folder.slug, ())}
        before = loaded.digests.get(folder.slug, model_folder.EMPTY_DIGEST)
        comparison.add(folder, _read_current(root, folder, files), files, reach, unchanged=folder.digest == before)
    gone = {
        key
        for path in comparison.removals
        if (key := layout.parse_overlay_path(path)) and path == layout.overlay_file(*key)
    }
    gone |= set(resolved.removed)
    check_removals(state, gone, empty=resolved.empty, cap=permissions.removals)
    notes = [ownership.describe_foreign_file(path) for path in sorted(comparison.foreign)]
    if comparison.edited and not permissions.edits:
        if permissions.writes:
            raise _hand_edits(sorted(comparison.edited))
        notes += [ownership.describe_hand_edit(path) for path in sorted(comparison.edited)]
    return Difference(
        files=select_paths(rendered.files, sorted(comparison.changed)),
        removals=comparison.removals,
        notes=notes,
        current=comparison.current,
        up_to_date=[*comparison.up_to_date, *(comparison.after_write if permissions.writes else ())],
    )


def _read_current(root: Path, folder: ModelFolder, paths: Iterable[str]) -> dict[str, bytes]:
    """The present content of m2g's files of a model. Raises InputError or OutsideError if one cannot be read."""
    current = {path: folder.read(root, path) for path in folder.list_owned()}
    for path in paths:
        if path not in current and os.path.lexists(f"{root}/{path}"):  # not a regular file: reading it raises
            current[path] = safe_files.read(root, path)
    return current


class _Comparison:
    """The result so far. Only paths and digests are in memory, so that it stays small for a large fleet."""

    def __init__(self) -> None:
        self.changed: set[str] = set()
        self.removals: set[str] = set()
        self.foreign: set[str] = set()
        self.edited: set[str] = set()
        self.current = DiskTree()
        self.up_to_date: list[bytes] = []
        """Digests of the folders that match the rendered files."""
        self.after_write: list[bytes] = []
        """Digests that changed folders will have after the write."""

    def add(
        self,
        folder: ModelFolder,
        current: Mapping[str, bytes],
        files: Mapping[str, bytes],
        reach: _Reach,
        *,
        unchanged: bool,
    ) -> None:
        """Compare one model's files. `unchanged`: the folder did not change since `files` was rendered from it."""
        changed = {
            path for path, content in files.items() if path not in current or not is_same(current[path], content)
        }
        rebased = any(_locate(path).part == layout.BASE for path in changed)
        changed = {path for path in changed if reach.includes(path, rebased=rebased)}
        stale = {path for path in current if path not in reach.kept and reach.includes(path, rebased=rebased)}
        removals = {path for path in stale if check_stamp(current[path]) is not StampState.FOREIGN}
        touched = {path: current[path] for path in changed | removals if path in current}
        self.changed |= changed
        self.removals |= removals
        self.foreign |= stale - removals
        self.edited |= {path for path, content in touched.items() if _is_edited(content)}
        self.current.put(touched)
        after = folder.apply_changes({path: files[path] for path in changed}, removals)
        if unchanged and files and after.list_owned() == sorted(files) and files.items() <= after.files.items():
            (self.after_write if changed or removals else self.up_to_date).append(after.digest)


def _is_edited(content: bytes) -> bool:
    """Whether overwriting loses work of people. A merge conflict of m2g's own output does not: Git has both sides."""
    state = check_stamp(content)
    return (
        state is StampState.EDITED
        or state is StampState.FOREIGN
        or (state is StampState.CONFLICTED and not has_stamp(content))
    )


class _Reach(Value, frozen=True, kw_only=True):
    """The paths that this run may change."""

    names: Mapping[str, str]
    scope: Scope
    frozen: frozenset[str]
    kept: Collection[str]

    def includes(self, path: str, *, rebased: bool) -> bool:
        """`rebased`: the model's base changes. Then all its overlays must change too: they are patches of it."""
        location = _locate(path)
        slug, environment = location.slug, location.environment
        if slug in self.frozen and path not in self.kept:
            return False
        if not self.scope.includes_model(slug, self.names.get(slug, slug)):
            return False
        narrowed = environment and self.scope.environments and environment not in self.scope.environments
        return rebased or not narrowed


def _hand_edits(paths: Sequence[str]) -> InputError:
    shown = "\n  ".join(paths[:20])
    more = f"\n  and {len(paths) - 20} more" if len(paths) > 20 else ""
    return InputError(
        f"nothing was written: these files were edited by hand, but m2g owns them:\n  {shown}{more}",
        hint=ownership.describe_hand_edit(paths[0]).hint,
    )


def find_models_to_render(loaded: LoadedRepository, resolved: Resolved) -> frozenset[str]:
    """The slugs of the models that changed or are not known to be up to date."""
    state = loaded.repository
    before, after = state.records, resolved.records
    moved = {key[0] for key in {*before, *after} if before.get(key) != after.get(key)}
    return frozenset((state.slugs | {slug for slug, _ in after}) - state.up_to_date | moved)


def _group_by_slug(paths: Iterable[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        groups[_locate(path).slug].append(path)
    return groups


def _locate(path: str) -> layout.Location:
    """Model and environment of one of m2g's own files."""
    return layout.parse_path(path) or layout.Location(slug="")
