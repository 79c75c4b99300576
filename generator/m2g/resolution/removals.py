"""Find the releases whose record a person removed, from Git's history: above all by reverting the first one.

Nothing is left of such a release in the files, so this looks at how the record came and how it went. m2g's own commits
say so in their trailers, also after a squash; a revert takes back exactly what a commit has brought.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from m2g.core.model import Release, Value
from m2g.git import history
from m2g.repository import layout
from m2g.repository.layout import Key
from m2g.resolution.reverts import decode_own
from m2g.resolution.targets import Target

_OWN = re.compile(r"^M2g-Tree: [0-9a-f]{40,64}$", re.MULTILINE)


class Removed(Value, frozen=True, kw_only=True):
    """A record that a person removed, and the commit that did it. `is_merge` tells how to revert that."""

    release: Release
    commit: str
    is_merge: bool


def find_removed(root: Path, targets: Iterable[tuple[Key, Target]]) -> dict[Key, Removed]:
    """Which of these releases, none of which has a record now, a person has removed."""
    wanted = dict(targets)
    known = history.read_changes(root, [layout.release(*key) for key in wanted])
    found: dict[Key, Removed] = {}
    for key, target in wanted.items():
        changes = known.changes.get(layout.release(*key), ())
        if not changes or changes[0].after:
            continue
        added = next((change.commit for change in changes if not change.before), "")
        removed = _find_removed(root, added, changes[0], target)
        if removed is not None:
            found[key] = removed
    return found


def _find_removed(root: Path, added: str, removal: history.Change, target: Target) -> Removed | None:
    record = decode_own(history.read_contents(root, [removal.before])[removal.before])
    here = history.describe_merge(root, removal.commit)
    if record is None or _OWN.search(here.messages):
        return None
    went = history.read_differences(root, removal.commit)
    came = history.read_differences(root, added) if added else {}
    version = target.version
    same = (record.version, record.created_at, record.source) == (version.version, version.created_at, version.source)
    taken_back = same and went == {path: (after, before) for path, (before, after) in came.items()}
    proposed = bool(added) and _OWN.search(history.describe_merge(root, added).messages) is not None
    if taken_back or (proposed and layout.CONFIG not in went):
        return Removed(release=record, commit=removal.commit, is_merge=here.is_merge)
    return None
