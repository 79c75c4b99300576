"""Releases that people hold: by a pin in model.yaml, or by moving a record back."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping

from msgspec import UNSET

from m2g.core import safe_files
from m2g.core.config_types import ModelIntent, Pin
from m2g.core.errors import M2gError
from m2g.core.finding import Finding, Severity
from m2g.core.model import Release, Replaced, Value
from m2g.core.stamp import find_digest
from m2g.repository import layout
from m2g.repository.layout import Key
from m2g.repository.state import Repository
from m2g.resolution import reasons
from m2g.resolution.removals import Removed, find_removed
from m2g.resolution.reverts import find_reverts
from m2g.resolution.targets import Target


def describe_replaced(repository: Repository, key: Key, before: Release) -> Replaced | None:
    """What a new record says of the one on disk that it replaces."""
    try:
        content = b"" if repository.root is None else safe_files.read(repository.root, layout.release(*key))
    except (FileNotFoundError, M2gError):
        return None
    digest = find_digest(content)
    return Replaced(version=before.version, digest=digest) if digest else None


class Reminder(Value, frozen=True, kw_only=True):
    """What to say of a hold after its last day."""

    until: datetime.date
    finding: Finding


def leave_reverted(
    repository: Repository, targets: Mapping[Key, Target]
) -> tuple[dict[Key, Target], dict[Key, Replaced], list[Finding]]:
    """The targets without those that a person's revert forbids, the records that pinned ones left, and the reasons.

    A pin is what a person says now, so it may move such a record, and it ends the doubt. Git is asked only if
    something would move.
    """
    moving = {
        key: record
        for key, target in targets.items()
        if (record := repository.records.get(key)) is not None
        and (
            (record.version, record.created_at, record.source, record.follows)
            != (target.version.version, target.version.created_at, target.version.source, target.follows)
        )
    }
    gone: dict[Key, Removed] = {}
    if repository.root is not None:
        new = ((key, target) for key, target in targets.items() if key not in repository.records)
        gone = find_removed(repository.root, (pair for pair in new if not _is_pinned(repository, pair[0])))
    removed = [reasons.held_by_removal(key, gone[key], targets[key]) for key in sorted(gone)]
    targets = {key: target for key, target in targets.items() if key not in gone}
    if repository.root is None or not moving:
        return dict(targets), {}, removed
    reverts = find_reverts(repository.root, moving)
    pinned = {key for key in moving if _is_pinned(repository, key)}
    left = {key: reverted.left for key, reverted in reverts.found.items() if key in pinned}
    held = {key: reverted for key, reverted in reverts.found.items() if key not in pinned}
    unknown = sorted(reverts.unknown - pinned)
    findings = [reasons.held_by_revert(key, moving[key], held[key], targets[key]) for key in sorted(held)]
    findings += [reasons.history_short(unknown)] if unknown else []
    stay = {*held, *unknown}
    return {key: target for key, target in targets.items() if key not in stay}, left, [*findings, *removed]


def _is_pinned(repository: Repository, key: Key) -> bool:
    return repository.find_intent(key[0]).find_pin(key[1]).version is not UNSET


def find_expired(reminders: Iterable[Reminder], today: datetime.date) -> list[Finding]:
    """The reminders of the holds whose last day is over. Such a hold does not end by itself."""
    return [reminder.finding for reminder in reminders if reminder.until < today]


def list_reminders(intents: Mapping[str, ModelIntent]) -> list[Reminder]:
    """A reminder for each hold that has a last day."""
    return [
        Reminder(until=pin.until, finding=_remind(slug, environment, pin))
        for slug, intent in sorted(intents.items())
        for environment, pin in intent.environments.items()
        if pin.version is not UNSET and pin.until is not UNSET
    ]


def _remind(slug: str, environment: str, pin: Pin) -> Finding:
    owner = "" if pin.owner is UNSET else f" (owner: {pin.owner})"
    return Finding(
        rule="hold-expired",
        severity=Severity.WARNING,
        file=layout.model_yaml(slug),
        path=f"environments.{environment}.until",
        model=slug,
        environment=environment,
        message=f"the hold of version {pin.version} was until {pin.until}; the version stays until somebody ends it"
        f"{owner}",
        hint=f"end it: m2g hold {slug} --env {environment} --end",
    )
