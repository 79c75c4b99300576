"""`m2g hold`: keep the version that runs in an environment, whatever the registry says, or follow it again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import UNSET

from m2g.changes.hold import HoldNote, ModelChange, apply, list_end_edits, list_hold_edits, list_next_steps
from m2g.core.config_types import Config
from m2g.core.model import Release, Value
from m2g.core.results import HoldResult
from m2g.registry import Registry
from m2g.rendering.model_files import render_record
from m2g.repository import layout, load
from m2g.repository.layout import Key
from m2g.repository.state import Repository, find_records
from m2g.resolution.reverts import find_reverts


class HoldOptions(Value, frozen=True, kw_only=True):
    """The model (slug or registered name) and the environment. `end` ends the hold; `dry_run` writes nothing."""

    model: str
    environment: str
    note: HoldNote = HoldNote()
    end: bool = False
    dry_run: bool = False


def hold(
    root: Path,
    options: HoldOptions,
    *,
    open_registry: Callable[[Config], Registry],
    waiting: Callable[[], None] = lambda: None,
) -> HoldResult:
    """Hold the version that the release record has, in model.yaml, or end the hold.

    Only the committed files and Git's history are read.
    Raises InputError if the model has no record in the environment, and the errors of `apply`.
    """
    repository = load.read_repository(root)
    key, release = next(iter(find_records(repository, options.model, (options.environment,)).items()))
    wanted = _end(root, repository, key, release) if options.end else _begin(key, release, options)
    files: tuple[str, ...] = (layout.model_yaml(key[0]),) if wanted.edits else ()
    files = (*files, layout.release(*key)) if wanted.record is not None else files
    result = _describe(repository, key, release, options)
    if not files:
        return result
    if not options.dry_run:
        done = apply(root, key, wanted, open_registry=open_registry, waiting=waiting)
        result = msgspec.structs.replace(result, findings=done.findings, written=True)
        files = done.files
    if not files:
        return result
    action = "ended" if options.end else "held"
    message = f"{key[0]}: {'follow the registry' if options.end else f'hold version {release.version}'} in {key[1]}"
    return msgspec.structs.replace(
        result, action=action, files=files, next=list_next_steps(key, files, message) if result.written else ()
    )


def _begin(key: Key, release: Release, options: HoldOptions) -> ModelChange:
    return ModelChange(edits=list_hold_edits(key[1], release.version, options.note))


def _end(root: Path, repository: Repository, key: Key, release: Release) -> ModelChange:
    """The edits of model.yaml, and the record with the version that it replaces if a person had moved it back."""
    edits = list_end_edits(key[1], repository.find_intent(key[0]).find_pin(key[1]))
    reverted = find_reverts(root, {key: release}).found.get(key)
    if reverted is None:
        return ModelChange(edits=edits)
    accepted = msgspec.structs.replace(release, replaces=reverted.left)
    return ModelChange(edits=edits, record=render_record(key[0], accepted)[layout.release(*key)])


def _describe(repository: Repository, key: Key, release: Release, options: HoldOptions) -> HoldResult:
    pin = repository.find_intent(key[0]).find_pin(key[1])
    before = "" if pin.version is UNSET else str(pin.version)
    note = options.note
    until = note.until or (None if pin.until is UNSET else pin.until)
    return HoldResult(
        action="unchanged",
        model=release.model,
        slug=key[0],
        environment=key[1],
        model_version=release.version,
        before=before if before != release.version else "",
        reason=note.reason or ("" if pin.reason is UNSET else pin.reason),
        owner=note.owner or ("" if pin.owner is UNSET else pin.owner),
        until="" if until is None else until.isoformat(),
    )
