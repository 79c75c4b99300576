"""What must be written and removed so that the tree is what it should be, and what must not be lost by that."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from m2g.core import safe_files as reading
from m2g.core.disk_tree import Spool, part
from m2g.core.errors import InputError
from m2g.core.finding import Finding
from m2g.core.model import Value
from m2g.core.stamp import Mark, Tree, mark, same, stamped
from m2g.rendering.model import Desired, Key, Repository
from m2g.repository import load, model_folder, ownership
from m2g.repository.load import Holdings
from m2g.repository.model_folder import ModelFolder
from m2g.resolution.resolve import Resolved, Scope


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


def difference(root: Path, held: Holdings, resolved: Resolved, wanted: Desired, allowed: Allowed) -> Difference:
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
    for folder in load.folders_of(root, loose(held, resolved, allowed.scope)):
        given = {path: wanted.files[path] for path in paths.get(folder.slug, ())}
        before = held.digests.get(folder.slug, model_folder.NOTHING)
        found.add(folder, _current(root, folder, given), given, concern, known=folder.digest == before)
    gone = {(overlay[1], overlay[2]) for path in found.removals if (overlay := _OVERLAY.fullmatch(path))}
    gone |= {*resolved.removed, *resolved.elsewhere, *_elsewhere(root, held, resolved, allowed.scope)}
    _refuse_mass_removal(state, gone, resolved.empty, allowed)
    notes = [ownership.foreign(path) for path in sorted(found.foreign)]
    if found.edited and not allowed.edits:
        if allowed.writes:
            raise _edited(sorted(found.edited))
        notes += [ownership.edited(path) for path in sorted(found.edited)]
    return Difference(
        files=part(wanted.files, sorted(found.changed)),
        removals=found.removals,
        notes=notes,
        current=found.current,
        right=[*found.right, *(found.coming if allowed.writes else ())],
    )


def _current(root: Path, folder: ModelFolder, given: Iterable[str]) -> dict[str, bytes]:
    """What lies in m2g's places of a model. Raises InputError and OutsideError for what cannot be read."""
    current = {path: folder.content(root, path) for path in folder.owned()}
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
        self.current = Spool()
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
        changed = {path for path, content in given.items() if path not in current or not same(current[path], content)}
        rebased = any(map(_BASE.match, changed))
        changed = {path for path in changed if concern.has(path, rebased=rebased)}
        stale = {path for path in current if path not in concern.kept and concern.has(path, rebased=rebased)}
        removals = {path for path in stale if mark(current[path]) is not Mark.FOREIGN}
        touched = {path: current[path] for path in changed | removals if path in current}
        self.changed |= changed
        self.removals |= removals
        self.foreign |= stale - removals
        self.edited |= {path for path, content in touched.items() if _is_edited(content)}
        self.current.put(touched)
        after = folder.changed({path: given[path] for path in changed}, removals)
        if known and given and after.owned() == sorted(given) and given.items() <= after.files.items():
            (self.coming if changed or removals else self.right).append(after.digest)


_BASE = re.compile(r"models/[^/]+/base/")
_OVERLAY = re.compile(r"models/([^/]+)/overlays/([^/]+)/kustomization\.yaml")


def _is_edited(content: bytes) -> bool:
    """Whether a person's work would be lost. Both sides of a merge of m2g's own output are in Git."""
    state = mark(content)
    return state is Mark.EDITED or state is Mark.FOREIGN or (state is Mark.CONFLICTED and not stamped(content))


class _Concern(Value, frozen=True, kw_only=True):
    """Which paths this run may touch."""

    names: Mapping[str, str]
    scope: Scope
    frozen: frozenset[str]
    kept: Collection[str]

    def has(self, path: str, *, rebased: bool) -> bool:
        """`rebased`: the base of its model changes, and all its overlays change with it or none fits."""
        parts = path.split("/")
        slug = _slug(path)
        if slug in self.frozen and path not in self.kept:
            return False
        if not self.scope.about(slug, self.names.get(slug, slug)):
            return False
        environment = ""
        if parts[0] == "fleet":
            environment = parts[1]
        elif len(parts) > 3 and parts[2] in ("overlays", "releases", "requests"):
            environment = parts[3].removesuffix(".json")
        narrowed = environment and self.scope.environments and environment not in self.scope.environments
        return rebased or not narrowed


def _edited(paths: Collection[str]) -> InputError:
    shown = "\n  ".join(list(paths)[:20])
    return InputError(
        f"edited by hand, and m2g owns these files:\n  {shown}",
        hint="move the change to models/<slug>/custom/<env>/ (a kustomize Component) or model.yaml and undo it here "
        "(git checkout), or throw it away with --discard-edits; the tree is as it was",
    )


def _elsewhere(root: Path, held: Holdings, resolved: Resolved, scope: Scope) -> Iterator[Key]:
    """The overlays that have no record any more in other parts of the fleet: other jobs will remove them."""
    if scope.shard is None:
        return
    whole = msgspec.structs.replace(scope, shard=None)
    names = {slug: record.model for (slug, _), record in held.repository.records.items()}
    for slug in sorted(loose(held, resolved, whole) - loose(held, resolved, scope)):
        for path, content in model_folder.part(root, slug, "overlays").files.items():
            found = _OVERLAY.fullmatch(path)
            key = (slug, found[2]) if found else None
            if (
                key
                and key not in resolved.records
                and whole.has(key, names.get(slug, slug))
                and mark(content) is not Mark.FOREIGN
            ):
                yield key


def _refuse_mass_removal(state: Repository, gone: Collection[Key], empty: bool, allowed: Allowed) -> None:
    """A cap on removals: a wrong tracking URI, a wiped registry or lost records must not empty the clusters.

    Of several parts of a fleet each counts what all of them remove: together they may do what one run may.
    """
    fleet = len(set(state.records) | set(gone))
    cap = allowed.removals
    if cap is None:
        rule = state.config.removals
        cap = 0 if empty else max(rule.max_count, fleet * rule.max_percent // 100)
    if len(gone) > cap:
        names = ", ".join(f"{slug} ({environment})" for slug, environment in sorted(gone)[:10])
        who = "this run" if allowed.scope.shard is None else "all parts of this run together"
        more = f" and {len(gone) - 10} more" if len(gone) > 10 else ""
        raise InputError(
            f"{who} would remove {len(gone)} of {fleet} releases: {names}{more}",
            hint=f"if that is meant: --allow-removals {len(gone)}; else check registry.uri, aliases and models in "
            "m2g.yaml, and that no record was deleted (the cap is removals in m2g.yaml)",
        )


def loose(held: Holdings, resolved: Resolved, scope: Scope) -> frozenset[str]:
    """The models of this part of the fleet to render: whose files are not known to be right, and that moved."""
    state = held.repository
    before, after = state.records, resolved.records
    moved = {key[0] for key in {*before, *after} if before.get(key) != after.get(key)}
    found = (state.slugs | {slug for slug, _ in after}) - state.settled | moved
    return frozenset(slug for slug in found if scope.shard is None or scope.shard.has(slug))


def _by_slug(paths: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        found[_slug(path)].append(path)
    return found


def _slug(path: str) -> str:
    """The model that one of m2g's files is about."""
    parts = path.split("/")
    return parts[1] if parts[0] == "models" else parts[2].removesuffix(".yaml")
