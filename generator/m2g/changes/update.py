"""The repository brought up to date: registry → release records → wanted files → disk."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import msgspec

from m2g.changes import write
from m2g.changes.compare import Allowed, difference, to_render
from m2g.changes.served import served
from m2g.core.cache import Cache
from m2g.core.config_types import Config
from m2g.core.finding import Finding, Severity
from m2g.core.model import Image, Release, Value
from m2g.core.results import ChangeKind, FileChange, ReleaseChange, RenderResult
from m2g.registry import Registry
from m2g.rendering import example_findings
from m2g.rendering.admit import Admitted, admit
from m2g.rendering.model import desired
from m2g.repository import fingerprint, layout, load
from m2g.repository.known_folders import KnownFolders
from m2g.repository.layout import Key
from m2g.repository.locate import add_lines
from m2g.repository.state import Repository, Scope, check_environments
from m2g.repository.unused_files import find_unused
from m2g.resolution.resolve import from_records, resolve
from m2g.serving import gate


class RenderOptions(Value, frozen=True, kw_only=True):
    """How to render. `locked` asks no registry; `check` and `dry_run` write nothing."""

    locked: bool = False
    check: bool = False
    dry_run: bool = False
    scope: Scope = Scope()
    allow_removals: int | None = None
    discard_edits: bool = False
    images: dict[tuple[str, str], Image] = {}
    """(registered model, version) to the image that was built for it."""
    cache: Path | None = None
    """The folder of what earlier runs found out; None remembers nothing."""


def update(
    root: Path,
    options: RenderOptions,
    *,
    open_registry: Callable[[Config], Registry],
    waiting: Callable[[], None] = lambda: None,
) -> RenderResult:
    """Bring the tree to what registry, records and m2g.yaml say.

    `open_registry` is only called where the registry is asked; `waiting` when another run holds the repository.

    Raises WrongInput for findings in m2g.yaml, model.yaml or records, InputError for hand edits in the way,
    OutsideError for the registry and the disk. In each case the tree is as it was.
    """
    writes = not (options.check or options.dry_run)
    guard = write.locked(root, waiting=waiting) if writes else contextlib.nullcontext()
    with guard, Cache(options.cache) as cache:
        remembered = KnownFolders(cache, fingerprint.digest_inputs(root, cache))
        held = load.load(root, remembered)
        state = msgspec.structs.replace(held.repository, images=options.images)
        check_environments(state.config, options.scope)
        admitted = _admitted(state, options, open_registry, cache)
        resolved = admitted.resolved
        concerned = to_render(held, resolved)
        records = {key: record for key, record in resolved.records.items() if key[0] in concerned}
        wanted = desired(state, records, admitted.rendered)
        allowed = Allowed(
            scope=options.scope, writes=writes, edits=options.discard_edits, removals=options.allow_removals
        )
        different = difference(root, held, resolved, wanted, allowed)
        if writes:
            write.write(root, different.files, different.removals)
        for digest in different.right:
            remembered.add_up_to_date(digest)
        findings = [*resolved.findings, *add_lines(root, wanted.findings), *different.notes]
        findings += find_unused(state, resolved.records)
        findings += write.unfinished_finding(root)
        settled = _settled(state.records, resolved.records, wanted.frozen, different.files)
        changes = _release_changes(state.records, settled)
        findings += _withheld(settled, resolved.records)
        moved = ((change.slug, change.environment) for change in changes)
        there = {key: resolved.records[key] for key in moved if key in resolved.records}
        chosen = {key: admitted.choose(state, key, release) for key, release in there.items()}
        findings += gate.findings({key: (there[key], made) for key, made in chosen.items()})
        findings += example_findings.findings(state, there)
        return RenderResult(
            releases=changes,
            served=served(state, resolved.records, chosen, different.current, different.files),
            files=_file_changes(different.current, different.files, different.removals, with_diff=options.check),
            findings=tuple(dict.fromkeys(findings)),
            models=len({slug for slug, _ in resolved.records}),
            written=writes,
            check=options.check,
        )


def _admitted(
    state: Repository, options: RenderOptions, open_registry: Callable[[Config], Registry], cache: Cache
) -> Admitted:
    """The releases that the tree should have: of the committed records, or of the registry."""
    if options.locked:
        return Admitted(resolved=from_records(state, options.scope))
    return admit(state, resolve(state, open_registry(state.config), options.scope, cache))


def _settled(
    before: Mapping[Key, Release], after: Mapping[Key, Release], frozen: Collection[str], files: Collection[str]
) -> dict[Key, Release]:
    """The records as the tree will have them: those of a frozen model stay, but for what is written all the same."""
    kept = {key: record for key, record in before.items() if key[0] in frozen}
    return kept | {
        key: record for key, record in after.items() if key[0] not in frozen or layout.release(*key) in files
    }


def _withheld(settled: Mapping[Key, Release], wanted: Mapping[Key, Release]) -> list[Finding]:
    """Environments that could move, were it not for another one of their model: its files change together."""
    return [
        Finding(
            rule="release-withheld",
            severity=Severity.WARNING,
            model=record.model,
            environment=key[1],
            message=f"version {record.version} waits as well: the files of a model change together",
            hint="mend what is said of its other environment, or take back the setting that it is about",
        )
        for key, record in wanted.items()
        if key not in settled or settled[key].version != record.version
    ]


def _release_changes(before: Mapping[Key, Release], after: Mapping[Key, Release]) -> tuple[ReleaseChange, ...]:
    changes = []
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        changes.append(
            ReleaseChange(
                kind=ChangeKind.ADDED if old is None else ChangeKind.REMOVED if new is None else ChangeKind.CHANGED,
                slug=key[0],
                model=new.model if new else old.model if old else "",
                environment=key[1],
                before=old.version if old else "",
                after=new.version if new else "",
                follows=new.follows if new else "",
            )
        )
    return tuple(changes)


def _file_changes(
    current: Mapping[str, bytes], files: Mapping[str, bytes], removals: Collection[str], *, with_diff: bool
) -> tuple[FileChange, ...]:
    changes = []
    for path in sorted([*files, *removals]):
        kind = ChangeKind.REMOVED if path in removals else ChangeKind.CHANGED if path in current else ChangeKind.ADDED
        diff = _diff(path, current.get(path, b""), files.get(path, b"")) if with_diff else ()
        changes.append(FileChange(kind=kind, path=path, diff=diff))
    return tuple(changes)


def _diff(path: str, before: bytes, after: bytes) -> tuple[str, ...]:
    old, new = (content.decode(errors="replace").splitlines() for content in (before, after))
    return tuple(difflib.unified_diff(old, new, f"a/{path}", f"b/{path}", n=1, lineterm=""))
