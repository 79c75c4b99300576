"""Bring the repository up to date: registry → release records → rendered files → disk."""

from __future__ import annotations

import contextlib
import datetime
import difflib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import msgspec

from m2g.changes import write
from m2g.changes.compare import Difference, Permissions, compare_with_disk, find_models_to_render
from m2g.changes.served import list_served
from m2g.changes.shared_files import add_shared_files
from m2g.core.cache import Cache
from m2g.core.config_types import Config
from m2g.core.finding import Finding, Severity
from m2g.core.model import Image, Release, Value
from m2g.core.results import ChangeKind, FileChange, ReleaseChange, RenderResult
from m2g.core.variants import describe_versions
from m2g.registry import Registry
from m2g.rendering.admit import Admission, admit
from m2g.rendering.example_findings import check_examples
from m2g.rendering.model import render_models
from m2g.repository import fingerprint, layout, load, ownership
from m2g.repository.known_folders import KnownFolders
from m2g.repository.layout import Key
from m2g.repository.locate import add_lines
from m2g.repository.state import Repository, Scope, check_environments
from m2g.repository.unused_files import find_unused
from m2g.resolution import decision
from m2g.resolution.holds import find_expired, list_reminders
from m2g.resolution.release_image import remember_images
from m2g.resolution.resolve import Resolved, resolve, resolve_from_records
from m2g.serving import gate


class RenderOptions(Value, frozen=True, kw_only=True):
    """How to render. `locked` does not use the registry; `check` and `dry_run` write nothing.

    `verify` reads every version again, also those of records that do not change.
    """

    locked: bool = False
    check: bool = False
    dry_run: bool = False
    scope: Scope = Scope()
    allow_removals: int | None = None
    discard_edits: bool = False
    verify: bool = False
    redecide: bool = False
    """Decide again how the versions are served."""
    migrate: bool = False
    """Write records of an older schema in today's."""
    images: dict[tuple[str, str], Image] = {}
    """(registered model, version) → the image that was built for it."""
    cache: Path | None = None
    """The cache folder; None disables the cache."""
    today: datetime.date | None = None
    """The day by which a hold has expired; None is the day of the clock."""


def update(
    root: Path,
    options: RenderOptions,
    *,
    open_registry: Callable[[Config], Registry],
    waiting: Callable[[], None] = lambda: None,
) -> RenderResult:
    """Bring the files up to date with the registry, the release records and m2g.yaml.

    `open_registry` is called only if the registry is needed; `waiting` if another run holds the lock.

    Raises InvalidRepository for findings in m2g.yaml, model.yaml or records, InputError if hand edits or a removal cap
    forbid the write, OutsideError if the registry or the disk fails. In each case no file is changed.
    """
    writes = not (options.check or options.dry_run)
    lock = write.lock_repository(root, waiting=waiting) if writes else contextlib.nullcontext()
    with lock, Cache(options.cache) as cache:
        known_folders = KnownFolders(cache, fingerprint.digest_inputs(root, cache))
        loaded = load.load(root, known_folders)
        state = msgspec.structs.replace(loaded.repository, images=options.images)
        check_environments(state.config, options.scope)
        admission = _resolve(state, options, open_registry, cache)
        resolved = admission.resolved
        to_render = find_models_to_render(loaded, resolved)
        records = {key: record for key, record in resolved.records.items() if key[0] in to_render}
        rendered = render_models(state, records, admission.rendered)
        permissions = Permissions(
            scope=options.scope, writes=writes, edits=options.discard_edits, removals=options.allow_removals
        )
        difference = add_shared_files(
            root,
            msgspec.structs.replace(state, records=resolved.records),
            compare_with_disk(root, loaded, resolved, rendered, permissions),
            permissions,
        )
        kept = _write(root, difference) if writes else ()
        remember_images(state if writes else loaded.repository, resolved.records, cache)
        for digest in difference.up_to_date:
            known_folders.add_up_to_date(digest)
        findings = [*resolved.findings, *add_lines(root, rendered.findings), *difference.notes]
        findings += [ownership.describe_hand_edit(path) for path in kept]
        findings += _check_inputs(root, state, resolved, options)
        after = _records_after(state.records, resolved.records, rendered.frozen, difference.files)
        changes = _release_changes(state.records, after)
        findings += _list_withheld(after, resolved.records)
        keys = ((change.slug, change.environment) for change in changes)
        moved = {key: resolved.records[key] for key in keys if key in resolved.records}
        choices = {key: admission.choose(state, key, release) for key, release in moved.items()}
        findings += gate.list_warnings({key: (moved[key], choice) for key, choice in choices.items()})
        findings += check_examples(state, moved)
        return RenderResult(
            releases=changes,
            served=list_served(state, resolved.records, choices, difference.current, difference.files),
            files=_file_changes(difference, kept, with_diff=options.check),
            findings=tuple(dict.fromkeys(findings)),
            models=len({slug for slug, _ in resolved.records}),
            written=writes,
            check=options.check,
        )


def _check_inputs(root: Path, state: Repository, resolved: Resolved, options: RenderOptions) -> list[Finding]:
    """What is wrong beside the releases: settings without an effect, holds that are over, a write that was killed."""
    today = options.today or datetime.datetime.now(tz=datetime.UTC).date()
    expired = find_expired(list_reminders(state.intents), today)
    return [*find_unused(state, resolved.records), *add_lines(root, expired), *write.find_unfinished(root)]


def _resolve(
    state: Repository, options: RenderOptions, open_registry: Callable[[Config], Registry], cache: Cache
) -> Admission:
    """The releases that the repository should have, from the committed records or from the registry."""
    if options.locked:
        resolved = resolve_from_records(state, options.scope)
    else:
        verify = options.verify or bool(options.images)
        resolved = resolve(state, open_registry(state.config), options.scope, cache, verify=verify)
    if options.migrate:
        records = decision.migrate(state, resolved.records, options.scope)
        resolved = msgspec.structs.replace(resolved, records=records)
    if options.redecide:
        records, refused = decision.redecide(state, resolved.records, options.scope)
        resolved = msgspec.structs.replace(resolved, records=records, findings=(*resolved.findings, *refused))
    return admit(state, resolved) if options.redecide or not options.locked else Admission(resolved=resolved)


def _records_after(
    before: Mapping[Key, Release], after: Mapping[Key, Release], frozen: Collection[str], files: Collection[str]
) -> dict[Key, Release]:
    """The records after the write. Those of a frozen model do not change, unless they are among `files`."""
    kept = {key: record for key, record in before.items() if key[0] in frozen}
    return kept | {
        key: record for key, record in after.items() if key[0] not in frozen or layout.release(*key) in files
    }


def _list_withheld(after: Mapping[Key, Release], wanted: Mapping[Key, Release]) -> list[Finding]:
    """Environments that do not change because another environment of the same model has an error."""
    return [
        Finding(
            rule="release-withheld",
            severity=Severity.WARNING,
            model=record.model,
            environment=key[1],
            message=f"version {record.version} is not rendered either: the files of one model change together",
            hint="fix the finding for the model's other environment, or revert that setting",
        )
        for key, record in wanted.items()
        if key not in after or after[key].version != record.version
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
                before=describe_versions(old) if old else "",
                after=describe_versions(new) if new else "",
                follows=new.follows if new else "",
            )
        )
    return tuple(changes)


def _write(root: Path, difference: Difference) -> tuple[str, ...]:
    return write.write_tree(root, difference.files, difference.removals, difference.current)


def _file_changes(difference: Difference, kept: Collection[str], *, with_diff: bool) -> tuple[FileChange, ...]:
    current, files, removals = difference.current, difference.files, difference.removals
    changes = []
    for path in sorted({*files, *removals}.difference(kept)):
        kind = ChangeKind.REMOVED if path in removals else ChangeKind.CHANGED if path in current else ChangeKind.ADDED
        diff = _diff(path, current.get(path, b""), files.get(path, b"")) if with_diff else ()
        changes.append(FileChange(kind=kind, path=path, diff=diff))
    return tuple(changes)


def _diff(path: str, before: bytes, after: bytes) -> tuple[str, ...]:
    old, new = (content.decode(errors="replace").splitlines() for content in (before, after))
    return tuple(difflib.unified_diff(old, new, f"a/{path}", f"b/{path}", n=1, lineterm=""))
