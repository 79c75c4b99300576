"""`m2g rollback`: restore the last good release record from Git's history, and hold it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from m2g.changes.canary import list_abort_edits
from m2g.changes.hold import HoldNote, ModelChange, apply, list_hold_edits, list_next_steps
from m2g.core.config_types import Config, ModelIntent
from m2g.core.errors import InputError, M2gError
from m2g.core.model import Release, Value
from m2g.core.naming import is_slug
from m2g.core.results import HoldResult
from m2g.git import history
from m2g.registry import Registry
from m2g.rendering.model_files import render_record
from m2g.repository import config as configuration
from m2g.repository import layout, records
from m2g.repository.layout import Key
from m2g.repository.state import Scope, check_environments, refuse_unknown
from m2g.resolution.earlier_records import EarlierRecord, find_earlier_record


class RollbackOptions(Value, frozen=True, kw_only=True):
    """What to roll back. `to` is a version; empty means the last good one. `offline` does not ask the registry."""

    model: str
    environment: str
    to: str = ""
    note: HoldNote = HoldNote()
    offline: bool = False
    dry_run: bool = False


def rollback(
    root: Path,
    options: RollbackOptions,
    *,
    open_registry: Callable[[Config], Registry],
    waiting: Callable[[], None] = lambda: None,
) -> HoldResult:
    """Restore an earlier record to the byte, render that model from it, and hold the version in model.yaml. A canary
    ends: all traffic goes to the version that was good.

    Works from Git's history alone. If the registry answers, it is asked whether the version's files still exist.

    Raises InputError if the history has no such record or if the registry says that the files are gone, and the errors
    of `apply`.
    """
    config = configuration.load(root).config
    if config is None:
        raise InputError("m2g.yaml is invalid", hint="see what is wrong: m2g validate")
    check_environments(config, Scope(environments=frozenset({options.environment})))
    known, _ = records.read_all(root)
    key = _find_key(known, options)
    current = known.get(key)
    intent = _read_intent(root, key[0])
    bad = frozenset(map(str, intent.find_pin(key[1]).known_bad))
    earlier = find_earlier_record(root, key, current, version=options.to, bad=bad)
    stays = current is not None and current.identity == earlier.release.identity
    release = current if stays and current is not None else earlier.release
    notes = () if options.offline else _check_artifacts(config, release, open_registry)
    before = "" if current is None or stays else current.version
    reason = options.note.reason or (f"rolled back from version {before}" if before else "")
    note = msgspec.structs.replace(options.note, reason=reason)
    result = HoldResult(
        action="held" if stays else "rolled-back",
        model=release.model,
        slug=key[0],
        environment=key[1],
        model_version=release.version,
        before=before,
        origin="" if stays else history.describe_commit(root, earlier.commit),
        reason=reason,
        owner=note.owner,
        until="" if note.until is None else note.until.isoformat(),
        files=tuple(sorted({layout.model_yaml(key[0]), *(() if stays else (layout.release(*key),))})),
        notes=notes,
    )
    if options.dry_run:
        return result
    done = apply(
        root,
        key,
        ModelChange(
            edits=[*list_hold_edits(key[1], release.version, note), *list_abort_edits(key[1], intent.find_pin(key[1]))],
            record=None if stays else _restore(key, earlier, current),
        ),
        open_registry=open_registry,
        waiting=waiting,
    )
    message = f"{key[0]}: {'hold' if stays else 'go back to'} version {release.version} in {key[1]}"
    return msgspec.structs.replace(
        result,
        action=result.action if done.files else "unchanged",
        files=done.files,
        findings=done.findings,
        next=list_next_steps(key, done.files, message),
        written=True,
    )


def _find_key(known: dict[Key, Release], options: RollbackOptions) -> Key:
    """The slug of the model, by slug or registered name. A model without a record may be in Git's history."""
    slugs = {slug for (slug, _), record in known.items() if options.model in (slug, record.model)}
    if not slugs:
        names = {text for (slug, _), record in known.items() for text in (slug, record.model)}
        if not is_slug(options.model):
            refuse_unknown("model", [options.model], names)
        slugs = {options.model}
    return min(slugs), options.environment


def _restore(key: Key, earlier: EarlierRecord, current: Release | None) -> bytes:
    """The earlier record, to the byte unless a canary was promoted since or was open then.

    KServe stops the pods of a predictor whose name is gone before others are ready, so the name stays.
    """
    name = "" if current is None else current.predictor
    if (name, {}) == (earlier.release.predictor, earlier.release.variants):
        return earlier.content
    release = msgspec.structs.replace(earlier.release, predictor=name, variants={})
    return render_record(key[0], release)[layout.release(*key)]


def _read_intent(root: Path, slug: str) -> ModelIntent:
    file = layout.model_yaml(slug)
    try:
        intent, _ = configuration.parse_intent(file, (root / file).read_bytes())
    except FileNotFoundError:
        return ModelIntent()
    return intent or ModelIntent()


def _check_artifacts(config: Config, release: Release, open_registry: Callable[[Config], Registry]) -> tuple[str, ...]:
    """Ask the registry for the files of the version. The result says what could not be checked.

    Raises InputError if the registry says that there are none: new pods could not start.
    """
    name = f"version {release.version} of {release.model}"
    try:
        registry = open_registry(config)
        listed = registry.list_versions(release.model)
        wanted = (release.version, release.created_at, release.source)
        version = next((one for one in listed if (one.version, one.created_at, one.source) == wanted), None)
        if version is None:
            return (f"the registry does not have {name} any more; a new pod starts only if its files still exist",)
        facts = registry.read_facts([version])[version.name, version.version]
    except M2gError as error:
        return (f"not checked whether the files of {name} still exist: {error.message}",)
    if facts.problem:
        return (f"not checked whether the files of {name} still exist: {facts.problem}",)
    if "MLmodel" not in facts.files:
        raise InputError(
            f"the files of {name} are gone: there is no MLmodel at {facts.artifact_uri}, so a new pod cannot start",
            hint="choose another version with --to VERSION; to restore the record all the same, add --offline",
        )
    return ()
