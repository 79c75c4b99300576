"""Find out what the branch lacks: the releases that move, and the files of each proposal alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

import msgspec

from m2g.changes.compare import Difference, Permissions, compare_with_disk
from m2g.changes.removal_cap import check_removals
from m2g.core import safe_files
from m2g.core.cache import Cache
from m2g.core.errors import InputError
from m2g.core.finding import Finding, Severity
from m2g.core.model import Release, Value
from m2g.core.results import ChangeKind
from m2g.core.stamp import is_same
from m2g.core.variants import describe_versions
from m2g.delivery.grouping import Names, Tags, make_names
from m2g.delivery.values import Moved, Wanted
from m2g.rendering.admit import admit
from m2g.rendering.environment_files import render_environment
from m2g.rendering.model import RenderedTree, render_models
from m2g.repository import fingerprint, layout, load
from m2g.repository.known_folders import KnownFolders
from m2g.repository.layout import Key
from m2g.repository.load import LoadedRepository
from m2g.repository.state import Repository, Scope, check_environments
from m2g.resolution.resolve import Resolved
from m2g.serving.decide import choose_serving

Resolve = Callable[[Repository, Cache], Resolved]
"""How the wanted records are found: from the registry, or from a snapshot."""


class SurveyOptions(Value, frozen=True, kw_only=True):
    """What a run is limited to, how many releases it may remove (None: see m2g.yaml), and the cache folder."""

    scope: Scope = Scope()
    allow_removals: int | None = None
    cache: Path | None = None


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """The branch as it is, the records that it should have, and the releases that move, in the order of m2g.yaml.

    `capped` says why no release is removed. `upgrade` are the files that this m2g writes in another way. `unknown` are
    the releases of which the registry has not said enough; an empty slug is all of them.
    """

    root: Path
    names: Names
    loaded: LoadedRepository
    resolved: Resolved
    moved: tuple[Moved, ...]
    capped: str
    upgrade: Wanted | None
    findings: tuple[Finding, ...]
    scope: Scope
    unknown: frozenset[Key] = frozenset()

    @property
    def state(self) -> Repository:
        """The repository on the branch."""
        return self.loaded.repository

    @property
    def tags(self) -> Tags:
        """The tags of registered models by which m2g.yaml groups them."""
        return self.resolved.tags

    def is_certain(self, branch: str) -> bool:
        """Whether this run knows all that a branch can be about: the registry has answered, and nothing is left out."""
        if any(not slug or self.names.concerns(branch, slug, environment) for slug, environment in self.unknown):
            return False
        if not self.scope.models and not self.scope.environments:
            return True
        slug, environment = self.names.find_key(branch)
        record = self.state.records.get((slug, environment))
        known = environment in self.state.config.environments
        return known and self.scope.includes((slug, environment), record.model if record is not None else slug)


def survey(root: Path, resolve: Resolve, options: SurveyOptions, folder: str = "") -> Survey:
    """What the checked-out branch at `root` lacks. `folder` is where in the repository that is. Writes only the cache.

    Raises InvalidRepository if the branch has invalid files, OutsideError if the registry fails.
    """
    with Cache(options.cache) as cache:
        known = KnownFolders(cache, fingerprint.digest_inputs(root, cache))
        loaded = load.load(root, known)
        state = loaded.repository
        check_environments(state.config, options.scope)
        names = make_names(folder, state.config.proposals)
        upgrade = _find_upgrade(root, loaded, known, names)
        found = resolve(state, cache)
        if found.environments:
            state = msgspec.structs.replace(state, environments=found.environments)
            loaded = msgspec.structs.replace(loaded, repository=state)
        resolved = admit(state, found).resolved
        removed = {key for key in resolved.removed if key in state.records}
        capped = ""
        try:
            check_removals(state, removed, empty=resolved.empty, cap=options.allow_removals)
        except InputError as error:
            capped = f"{error.message}; {error.hint}"
        return Survey(
            root=root,
            names=names,
            loaded=loaded,
            resolved=resolved,
            moved=_list_moved(state, resolved),
            capped=capped,
            upgrade=upgrade,
            findings=resolved.findings,
            scope=options.scope,
            unknown=_find_unknown(state, resolved.findings),
        )


def _find_unknown(state: Repository, findings: Iterable[Finding]) -> frozenset[Key]:
    slugs = {record.model: slug for (slug, _), record in state.records.items()}
    unknown: set[Key] = set()
    for finding in findings:
        if finding.severity is Severity.ERROR:
            place = layout.parse_path(finding.file)
            slug = place.slug if place is not None and place.slug else slugs.get(finding.model, finding.model)
            unknown |= {(slug, name) for name in state.config.environments if finding.environment in ("", name)}
    return frozenset(unknown)


def _find_upgrade(root: Path, loaded: LoadedRepository, known: KnownFolders, names: Names) -> Wanted | None:
    """The files that this m2g writes in another way from the same records."""
    state = loaded.repository
    slugs = frozenset(state.slugs - state.up_to_date)
    records = {key: record for key, record in state.records.items() if key[0] in slugs}
    rendered = render_models(state, records)
    same = Resolved(records=state.records, removed=(), findings=())
    difference = compare_with_disk(root, loaded, same, rendered, _permit(state, slugs))
    for digest in difference.up_to_date:
        known.add_up_to_date(digest)
    edited = _find_slugs([note.file for note in difference.notes if note.rule == "hand-edit"])
    files = {path: difference.files[path] for path in difference.files if not _find_slugs([path]) & edited}
    removals = frozenset(path for path in difference.removals if not _find_slugs([path]) & edited)
    if not files and not removals:
        return None
    return Wanted(branch=names.upgrade, moved=(), files=files, removals=removals)


def _permit(state: Repository, slugs: frozenset[str]) -> Permissions:
    return Permissions(scope=Scope(), writes=False, edits=False, removals=len(state.records), models=slugs)


def _list_moved(state: Repository, resolved: Resolved) -> tuple[Moved, ...]:
    before, after = state.records, resolved.records
    moved = [
        _describe(key, before.get(key), after.get(key))
        for key in {*before, *after}
        if before.get(key) != after.get(key)
    ]
    order = list(state.config.environments)
    return tuple(
        sorted(moved, key=lambda one: (order.index(one.environment) if one.environment in order else 0, one.slug))
    )


def _describe(key: Key, old: Release | None, new: Release | None) -> Moved:
    known = new or old
    return Moved(
        kind=ChangeKind.ADDED if old is None else ChangeKind.REMOVED if new is None else ChangeKind.CHANGED,
        slug=key[0],
        model=known.model if known is not None else key[0],
        environment=key[1],
        before=describe_versions(old) if old is not None else "",
        after=describe_versions(new) if new is not None else "",
        image=new.image.name if new is not None and new.image is not None else "",
        run=new.run.id if new is not None and new.run is not None else "",
    )


def build_wanted(found: Survey, branch: str, moved: tuple[Moved, ...]) -> Wanted:
    """The proposal of some releases alone: the files as if nothing else moved."""
    state = found.state
    records = dict(state.records)
    for one in moved:
        if one.kind is ChangeKind.REMOVED:
            records.pop(one.key, None)
        else:
            records[one.key] = found.resolved.records[one.key]
    slugs = frozenset(one.slug for one in moved)
    rendered = render_models(state, {key: record for key, record in records.items() if key[0] in slugs})
    removed = tuple(one.key for one in moved if one.kind is ChangeKind.REMOVED)
    only = Resolved(records=records, removed=removed, findings=())
    difference = compare_with_disk(found.root, found.loaded, only, rendered, _permit(state, slugs))
    wanted = _make_wanted(branch, moved, difference, rendered)
    wanted = msgspec.structs.replace(wanted, files={**wanted.files, **_find_environments(found, moved)})
    upgraded = found.upgrade is not None and _find_slugs((*found.upgrade.files, *found.upgrade.removals)) & slugs
    if upgraded:
        why = f"waits for {found.names.upgrade}: this m2g writes the files of {min(upgraded)} in another way"
        return msgspec.structs.replace(wanted, blocked=why)
    if removed and found.capped:
        return msgspec.structs.replace(wanted, blocked=found.capped)
    return wanted


def _find_environments(found: Survey, moved: tuple[Moved, ...]) -> dict[str, bytes]:
    """The files of the serving environments that these releases use and that the branch does not have as they are."""
    state = found.state
    if not found.resolved.environments:
        return {}
    records = [(one.slug, found.resolved.records[one.key]) for one in moved if one.kind is not ChangeKind.REMOVED]
    used = {choose_serving(state, slug, record).environment for slug, record in records} - {""}
    files: dict[str, bytes] = {}
    for name in sorted(used & state.environments.keys()):
        for path, content in render_environment(state.config, state.environments[name]).items():
            try:
                same = is_same(safe_files.read(found.root, path), content)
            except FileNotFoundError:
                same = False
            if not same:
                files[path] = content
    return files


def _make_wanted(branch: str, moved: tuple[Moved, ...], difference: Difference, rendered: RenderedTree) -> Wanted:
    files: Mapping[str, bytes] = {path: difference.files[path] for path in difference.files}
    return Wanted(
        branch=branch,
        moved=moved,
        files=files,
        removals=frozenset(difference.removals),
        blocked=_find_obstacle((*rendered.findings, *difference.notes)),
    )


def _find_obstacle(findings: Iterable[Finding]) -> str:
    """Why the files cannot be written, if they cannot: a person's edit would be lost, or a setting is wrong."""
    first = next((one for one in findings if one.severity is Severity.ERROR or one.rule == "hand-edit"), None)
    return "" if first is None else f"{first.file}: {first.message}" if first.file else first.message


def _find_slugs(paths: Collection[str]) -> set[str]:
    return {place.slug for path in paths if (place := layout.parse_path(path)) is not None}
