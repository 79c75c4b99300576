"""Find the records that a person moved back, from Git's history.

m2g writes into a record which record it replaced. A record that was there before, and that does not say that it
replaced the one that was there last, was restored by somebody: by `git revert`, by `git checkout` or by `m2g rollback`.
This depends on no name, e-mail or commit message, so it survives a squash, a rebase and a merge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from m2g.core.model import Release, Replaced, Value
from m2g.core.stamp import StampState, check_stamp, find_digest
from m2g.git import history
from m2g.repository import layout, records
from m2g.repository.layout import Key


class Reverted(Value, frozen=True, kw_only=True):
    """A record that a person moved back, and the one that was there before. `commit` is empty without a commit."""

    left: Replaced
    commit: str = ""


class Reverts(Value, frozen=True, kw_only=True):
    """Which records were moved back. `unknown` are those of which a shallow clone cannot tell."""

    found: dict[Key, Reverted]
    unknown: frozenset[Key] = frozenset()


class _Committed(Value, frozen=True, kw_only=True):
    """A record in Git's history."""

    release: Release
    digest: str
    commit: str

    @property
    def replaced(self) -> Replaced:
        return Replaced(version=self.release.version, digest=self.digest)


def find_reverts(root: Path, current: Mapping[Key, Release], ref: str = "HEAD") -> Reverts:
    """Ask Git which of these records a person moved back. `current` are the records in the working tree."""
    known = history.read_changes(root, [layout.release(*key) for key in current], ref)
    oids = {change.after for changes in known.changes.values() for change in changes}
    contents = history.read_contents(root, oids)
    found: dict[Key, Reverted] = {}
    unknown: set[Key] = set()
    for key, record in current.items():
        path = layout.release(*key)
        committed = [
            _Committed(release=release, digest=find_digest(contents[change.after]), commit=change.commit)
            for change in known.changes.get(path, ())
            if (release := decode_own(contents.get(change.after, b""))) is not None
        ]
        reverted, is_certain = _find_revert(record, committed)
        if reverted is not None:
            found[key] = reverted
        elif not is_certain and known.is_cut(path):
            unknown.add(key)
    return Reverts(found=found, unknown=frozenset(unknown))


def decode_own(content: bytes) -> Release | None:
    """The record, if m2g wrote exactly this content."""
    try:
        return records.decode(content) if check_stamp(content) is StampState.OURS else None
    except (msgspec.DecodeError, RecursionError):
        return None


def _find_revert(record: Release, committed: Sequence[_Committed]) -> tuple[Reverted | None, bool]:
    """Whether the record was moved back, and whether that is certain. `committed` is its history, newest first."""
    start = next((i for i, old in enumerate(committed) if old.release.identity != record.identity), None)
    if start is None:
        return None, False
    left = committed[start]
    for old in committed[start:]:  # m2g may have written the other version several times, with other metadata
        if old.release.identity != left.release.identity:
            break
        if old.replaced == record.replaces:
            return None, True
    if not any(old.release.identity == record.identity for old in committed[start:]):
        return None, False
    return Reverted(left=left.replaced, commit=committed[start - 1].commit if start else ""), True
