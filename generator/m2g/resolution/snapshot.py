"""What one run learned from the registry, in a file, for another run that has no access to it.

The file comes from another job. Nothing in it is believed that the branch does not allow: each record is decoded and
placed by the rules of records, and one whose base has changed since is dropped.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from m2g.core import safe_files
from m2g.core.errors import InputError, OutsideError
from m2g.core.finding import Finding, Severity
from m2g.core.model import Release, Value
from m2g.core.serving_environment import RecordedEnvironment, ServingEnvironment, digest_lock, parse_lock
from m2g.git import history
from m2g.repository import environments, layout
from m2g.repository.layout import Key
from m2g.repository.records import find_misplaced
from m2g.repository.state import Repository, Scope
from m2g.resolution.resolve import Resolved

_MAX = 1 << 30


class Entry(Value, frozen=True, kw_only=True):
    """One release that moves: what decided about it on the branch (`before`), and its record; None removes it."""

    slug: str
    environment: str
    before: str
    record: Release | None = None


class NewEnvironment(Value, frozen=True, kw_only=True):
    """A serving environment that was planned, or whose image was built, since the commit `base`: its two files."""

    environment: ServingEnvironment
    lock: str


class Snapshot(Value, frozen=True, kw_only=True):
    """What a registry said. `base` is the commit of the branch that it was compared with."""

    version: Literal[1]
    base: str
    empty: bool
    entries: tuple[Entry, ...]
    findings: tuple[Finding, ...] = ()
    tags: dict[str, dict[str, str]] = {}
    environments: tuple[NewEnvironment, ...] = ()


def take_snapshot(root: Path, base: str, before: Repository, resolved: Resolved) -> Snapshot:
    """The releases that differ from those on the branch at `root`."""
    old, new = before.records, resolved.records
    keys = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
    entries = tuple(
        Entry(slug=key[0], environment=key[1], before=_digest(root, key), record=new.get(key)) for key in keys
    )
    return Snapshot(
        version=1,
        base=base,
        empty=resolved.empty,
        entries=entries,
        findings=resolved.findings,
        tags={name: dict(tags) for name, tags in resolved.tags.items()},
        environments=tuple(
            NewEnvironment(environment=one.environment, lock=one.text)
            for name, one in resolved.environments.items()
            if before.environments.get(name) != one
        ),
    )


def write_snapshot(path: Path, snapshot: Snapshot) -> None:
    """Write the file, all or nothing. Raises OutsideError."""
    draft = path.with_name(f".{path.name}.new")
    try:
        draft.write_bytes(msgspec.json.encode(snapshot))
        os.replace(draft, path)
    except OSError as error:
        hint = "give -o a file in a directory that you may write to"
        raise OutsideError(f"{path} cannot be written: {error.strerror}", hint=hint) from error


def read_snapshot(path: Path) -> Snapshot:
    """Raises InputError if it is not the file of `m2g sync --resolve-only`."""
    hint = "make one with the same m2g: m2g sync --resolve-only -o FILE"
    try:
        if path.stat().st_size > _MAX:
            raise InputError(f"{path} is larger than 1 GiB", hint=hint)
        return msgspec.json.decode(path.read_bytes(), type=Snapshot)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", hint=hint) from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise InputError(f"{path} is not a snapshot of m2g sync: {error}", hint=hint) from error


def doubt(path: Path) -> None:
    """Say of each version in the file that its smoke test did not come to its end: true until `settle`.

    A test that ends early must not look like one that found nothing. Raises InputError, OutsideError.
    """
    snapshot = read_snapshot(path)
    doubts = [_doubt(entry.record) for entry in snapshot.entries if entry.record is not None]
    write_snapshot(path, msgspec.structs.replace(snapshot, findings=(*_drop_doubts(snapshot), *doubts)))


def settle(path: Path, findings: Collection[Finding]) -> None:
    """Put what a smoke test found in the place of the doubts. Raises InputError, OutsideError."""
    snapshot = read_snapshot(path)
    write_snapshot(path, msgspec.structs.replace(snapshot, findings=(*_drop_doubts(snapshot), *findings)))


_DOUBT = "its smoke test did not come to its end"


def _doubt(record: Release) -> Finding:
    return Finding(
        rule="smoke-failed",
        model=record.model,
        environment=record.environment,
        message=f"m2g smoke: {record.model} version {record.version} was not tested: {_DOUBT}",
        hint="the log of m2g smoke says why; the next run tests it again",
    )


def _drop_doubts(snapshot: Snapshot) -> tuple[Finding, ...]:
    return tuple(one for one in snapshot.findings if one.rule != "smoke-failed" or not one.message.endswith(_DOUBT))


def apply_snapshot(root: Path, snapshot: Snapshot, repository: Repository, scope: Scope) -> Resolved:
    """The records that the branch at `root` should have. Raises InputError for a record that m2g does not make."""
    records = dict(repository.records)
    removed: list[Key] = []
    findings = list(snapshot.findings)
    entries = list_entries(snapshot, repository)
    places = [layout.release(entry.slug, entry.environment) for entry in entries]
    # A record that was merged and reverted meanwhile is what it was, but not what it means.
    since = history.find_changed_since(root, snapshot.base, places)
    for entry, place in zip(entries, places, strict=True):
        key = (entry.slug, entry.environment)
        record = entry.record
        model = record.model if record is not None else getattr(records.get(key), "model", entry.slug)
        if not scope.includes(key, model):
            continue
        if _digest(root, key) != entry.before or place in since:
            findings.append(_describe_changed(key, model))
        elif record is not None:
            records[key] = record
        elif records.pop(key, None) is not None:
            removed.append(key)
    misplaced = list(find_misplaced(repository.config, _pick(records, snapshot)))
    if misplaced:
        raise InputError(f"the snapshot {misplaced[0].message} in {misplaced[0].file}", hint="make a new one")
    return Resolved(
        records=dict(sorted(records.items())),
        removed=tuple(removed),
        findings=tuple(findings),
        empty=snapshot.empty,
        tags=snapshot.tags,
        environments=add_environments(snapshot, repository),
    )


def list_entries(snapshot: Snapshot, repository: Repository) -> tuple[Entry, ...]:
    """The releases that move. Raises InputError for one that m2g cannot have made for this repository."""
    for entry in snapshot.entries:
        _check(entry, repository)
    return snapshot.entries


def add_environments(snapshot: Snapshot, repository: Repository) -> dict[str, RecordedEnvironment]:
    """The serving environments of the branch and the new ones. One of the branch never changes, except for its first
    image. Raises InputError for one whose name, lock or image is not what m2g writes."""
    known = dict(repository.environments)
    for one in snapshot.environments:
        name, image, packages = one.environment.id, one.environment.image, parse_lock(one.lock)
        if packages is None or digest_lock(one.lock) != one.environment.lock:
            raise InputError(f"the snapshot has another lock for the environment {name}", hint="make a new one")
        if image and not environments.is_image_of(repository.config, name, image):
            raise InputError(f"the snapshot has {image[:200]!r} for the environment {name}", hint="make a new one")
        if name not in known or not known[name].environment.image:
            known[name] = RecordedEnvironment(
                id=name, environment=one.environment, packages=dict(packages), text=one.lock
            )
    return known


def _pick(records: Mapping[Key, Release], snapshot: Snapshot) -> dict[Key, Release]:
    return {key: records[key] for entry in snapshot.entries if (key := (entry.slug, entry.environment)) in records}


def _check(entry: Entry, repository: Repository) -> None:
    """Whether m2g could have made the entry for this branch: its slug and environment are names of folders."""
    path = layout.release(entry.slug, entry.environment)
    place = layout.parse_path(path)
    known = entry.environment in repository.config.environments or entry.record is None
    same = entry.record is None or entry.record.environment == entry.environment
    is_place = place is not None and (place.slug, place.environment) == (entry.slug, entry.environment)
    if not (known and same and is_place and layout.is_owned(path) and ".." not in path.split("/")):
        raise InputError(f"the snapshot has a record for {path!r}, which m2g does not make", hint="make a new one")


def _describe_changed(key: Key, model: str) -> Finding:
    return Finding(
        rule="snapshot-outdated",
        severity=Severity.WARNING,
        model=model,
        environment=key[1],
        message="its record or its settings changed on the branch after the registry was asked; it is left out",
        hint="the next run asks again: m2g sync",
    )


def _digest(root: Path, key: Key) -> str:
    """What decides about a release on a branch: its record, its model.yaml and m2g.yaml."""
    digest = hashlib.sha256()
    for path in (layout.release(*key), layout.model_yaml(key[0]), layout.CONFIG):
        try:
            content = safe_files.read(root, path)
        except FileNotFoundError:
            content = b"\0missing"
        digest.update(b"%d:" % len(content) + content)
    return digest.hexdigest()
