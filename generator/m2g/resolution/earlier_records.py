"""Find the record to go back to in Git's history."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from m2g.core.errors import InputError
from m2g.core.model import Release, Value
from m2g.git import history
from m2g.repository import layout
from m2g.repository.layout import Key
from m2g.resolution.reverts import decode_own

_MAX_RENAMES = 20
"""How often the folder of a model may have been renamed."""


class EarlierRecord(Value, frozen=True, kw_only=True):
    """A record in Git's history: its content to the byte, the commit that wrote it, and its path there."""

    release: Release
    content: bytes
    commit: str
    path: str


def find_earlier_record(
    root: Path, key: Key, current: Release | None, *, version: str = "", bad: Collection[str] = ()
) -> EarlierRecord:
    """The record with `version`, or the last good one: what ran before `current`, without what was left since.

    After 1, 2, 3 and a rollback to 2, the one before is 1: 3 was left on purpose. Versions in `bad` do not count.
    Without `current`, the newest record in the history is the last good one.

    Raises InputError if the history has no such record, and says whether it is too short (a shallow clone).
    """
    records, is_cut = _read_records(root, key)
    if version:
        found = next((record for record in records if record.release.version == version), None)
    else:
        good = [record for record in _leave_out_what_was_left(records, current) if record.release.version not in bad]
        found = good[-1] if good else None
    if found is not None:
        return found
    slug, environment = key
    wanted = f"record of version {version}" if version else "earlier record"
    message = f"Git's history has no {wanted} of {slug} in {environment}"
    if is_cut:
        raise InputError(
            f"{message}, but it is too short to know: this clone is shallow",
            hint="get the whole history: git fetch --unshallow",
        )
    known = sorted({record.release.version for record in records}, key=lambda number: (len(number), number))
    here = f"it has the versions {', '.join(known[-20:])}" if known else "it has no record of it at all"
    raise InputError(f"{message}; {here}", hint=f"look at it: git log -p -- {layout.release(slug, environment)}")


def _leave_out_what_was_left(records: Sequence[EarlierRecord], current: Release | None) -> list[EarlierRecord]:
    """What ran before `current`, oldest first: going back to a version leaves out everything after it."""
    ran: list[EarlierRecord] = []
    for record in reversed(records):
        ran = _go_back(ran, record.release)
        ran.append(record)
    return ran if current is None else _go_back(ran, current) if _ran(ran, current) else ran


def _go_back(ran: Sequence[EarlierRecord], release: Release) -> list[EarlierRecord]:
    """What ran before the last time that `release` ran; everything if it did not."""
    for index in range(len(ran) - 1, -1, -1):
        if ran[index].release.identity == release.identity:
            return list(ran[:index])
    return list(ran)


def _ran(ran: Sequence[EarlierRecord], release: Release) -> bool:
    return any(record.release.identity == release.identity for record in ran)


def _read_records(root: Path, key: Key) -> tuple[list[EarlierRecord], bool]:
    """Every record that the file had on this branch, newest first, also under the model's former slugs.

    The second value tells whether a shallow clone may have cut the history.
    """
    path, ref = layout.release(*key), "HEAD"
    records: list[EarlierRecord] = []
    for _ in range(_MAX_RENAMES):
        known = history.read_changes(root, [path], ref)
        changes = known.changes.get(path, ())
        contents = history.read_contents(root, {change.after for change in changes})
        records += _decode(path, changes, contents)
        if known.is_cut(path):
            return records, True
        renamed = next(_find_former(root, key, changes[-1].commit, records), None) if changes else None
        if renamed is None:
            return records, False
        path, ref = renamed, f"{changes[-1].commit}^1"
    return records, False


def _decode(path: str, changes: Sequence[history.Change], contents: dict[str, bytes]) -> Iterator[EarlierRecord]:
    for change in changes:
        content = contents.get(change.after, b"")
        release = decode_own(content)
        if release is not None and release.environment == layout.parse_record_path(path):
            yield EarlierRecord(release=release, content=content, commit=change.commit, path=path)


def _find_former(root: Path, key: Key, commit: str, records: Sequence[EarlierRecord]) -> Iterator[str]:
    """The path that the record had before `commit` added it: a record of the same model that this commit removed."""
    if not records:
        return
    known = records[-1].release
    removed = {
        path: oid
        for path, oid in history.list_removed(root, commit, layout.MODELS).items()
        if layout.is_record(path) and layout.parse_record_path(path) == key[1]
    }
    contents = history.read_contents(root, set(removed.values()))
    for path, oid in sorted(removed.items()):
        release = decode_own(contents.get(oid, b""))
        if release is not None and (release.model == known.model or release.identity[1:] == known.identity[1:]):
            yield path
