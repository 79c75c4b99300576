"""Read from Git which contents a file had, and which commits changed it."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path

import msgspec

from m2g.core.errors import M2gError
from m2g.git.program import run_here
from m2g.git.read import FILE_MODES, read_blobs, read_output

_START = b"\x01"
"""Before each commit. Git refuses it in object ids, and paths come after it."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A commit that changed a file. `before` and `after` are object ids; empty where there is no file."""

    commit: str
    before: str
    after: str


class History(msgspec.Struct, frozen=True, kw_only=True):
    """The changes of files, newest first. `ends` are the commits after which a shallow clone has no history."""

    changes: Mapping[str, tuple[Change, ...]]
    ends: frozenset[str]

    def is_cut(self, path: str) -> bool:
        """Whether older changes of a file may be missing."""
        changes = self.changes.get(path, ())
        return bool(changes) and changes[-1].commit in self.ends


def read_changes(root: Path, paths: Collection[str], ref: str = "HEAD", limit: int = 300) -> History:
    """The last `limit` changes of each file on the branch `ref`, by path in `root`.

    A merge counts as one change, from its first parent: what was on the branch is what was deployed. Outside of a Git
    repository, and in one without a commit, there are no changes.
    """
    if not paths or not _has_commit(root, ref):
        return History(changes={}, ends=frozenset())
    listed = read_output(
        *(root, "log", "--first-parent", "--diff-merges=first-parent", "--format=%x01%H", "--raw", "--no-abbrev", "-z"),
        *("--no-renames", "--no-ext-diff", "--relative", "--stdin"),
        stdin=os.fsencode("\n".join((ref, "--", *sorted(paths)))) + b"\n",
    )
    found: dict[str, list[Change]] = defaultdict(list)
    for part in listed.split(_START)[1:]:
        commit, *fields = part.split(b"\0")
        for about, name in zip(fields[0::2], fields[1::2], strict=False):
            path = os.fsdecode(name)
            if len(found[path]) < limit:
                found[path].append(_parse(commit.decode(), about.strip()))
    return History(changes={path: tuple(changes) for path, changes in found.items()}, ends=_find_ends(root))


def find_changed_since(root: Path, commit: str, paths: Collection[str]) -> frozenset[str]:
    """The files that a commit on the branch has changed since `commit`, also if they are now as they were.

    All of them if this clone does not have the commit.
    """
    if not paths:
        return frozenset()
    if not _has_commit(root, commit):
        return frozenset(paths)
    listed = read_output(
        *(root, "log", "--first-parent", "--diff-merges=first-parent", "--format=", "--name-only", "-z"),
        *("--no-renames", "--no-ext-diff", "--relative", "--stdin"),
        stdin=os.fsencode("\n".join(("HEAD", f"^{commit}", "--", *sorted(paths)))) + b"\n",
    )
    return frozenset(os.fsdecode(name) for name in listed.split(b"\0") if name)


def read_contents(root: Path, oids: Collection[str]) -> dict[str, bytes]:
    """The contents of files by object id."""
    return read_blobs(root, [oid for oid in oids if oid])


def list_removed(root: Path, commit: str, folder: str) -> dict[str, str]:
    """The files in `folder` that a commit removed, with the object ids that they had. The first commit removed none."""
    if not _has_commit(root, f"{commit}^1"):
        return {}
    listed = read_output(
        *(root, "diff-tree", "-r", "-z", "--raw", "--no-abbrev", "--no-renames", "--no-ext-diff", "--relative"),
        *("--diff-filter=D", "--end-of-options", f"{commit}^1", commit, "--", folder),
    )
    fields = listed.split(b"\0")
    return {
        os.fsdecode(name): _parse(commit, about).before
        for about, name in zip(fields[0::2], fields[1::2], strict=False)
        if about
    }


def describe_commit(root: Path, commit: str) -> str:
    """The short id and the subject of a commit."""
    return read_output(root, "log", "-1", "--format=%h %s", "--end-of-options", commit).decode(errors="replace").strip()


class Messages(msgspec.Struct, frozen=True, kw_only=True):
    """The messages of a commit and of all that it merged."""

    messages: str
    is_merge: bool


def describe_merge(root: Path, commit: str) -> Messages:
    """What a commit on a branch brought, in words."""
    parents = read_output(root, "rev-list", "--parents", "--max-count=1", "--end-of-options", commit).split()[1:]
    since = [f"^{commit}^1"] if parents else []
    said = read_output(root, "log", "--format=%B%n", "--end-of-options", commit, *since)
    return Messages(messages=said.decode(errors="replace"), is_merge=len(parents) > 1)


def read_differences(root: Path, commit: str) -> dict[str, tuple[str, str]]:
    """Each path below `root` that a commit changed against its first parent, with the object ids before and after."""
    which = (f"{commit}^1", commit) if _has_commit(root, f"{commit}^1") else ("--root", commit)
    listed = read_output(
        *(root, "diff-tree", "-r", "-z", "--raw", "--no-abbrev", "--no-renames", "--no-ext-diff", "--no-commit-id"),
        *("--relative", *which),
    )
    fields = listed.split(b"\0")
    changes = ((name, _parse(commit, about)) for about, name in zip(fields[0::2], fields[1::2], strict=False) if about)
    return {os.fsdecode(name): (change.before, change.after) for name, change in changes}


def _parse(commit: str, about: bytes) -> Change:
    """A line of `git log --raw`: the modes and object ids of both sides. What is no regular file does not count."""
    old, new, before, after, _ = about.decode().split(" ")
    return Change(
        commit=commit,
        before=before if old.removeprefix(":") in FILE_MODES else "",
        after=after if new in FILE_MODES else "",
    )


def _has_commit(root: Path, ref: str) -> bool:
    try:
        return run_here(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}").code == 0
    except M2gError:
        return False


def _find_ends(root: Path) -> frozenset[str]:
    path = os.fsdecode(read_output(root, "rev-parse", "--git-path", "shallow").removesuffix(b"\n"))
    try:
        return frozenset((root / path).read_text().split())
    except FileNotFoundError:
        return frozenset()
