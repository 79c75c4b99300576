"""Make commits without a working tree, read what one commit changed, and tell m2g's own commits from others."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from m2g.core.model import Value
from m2g.core.proposal_types import Author
from m2g.core.sanitize import make_visible
from m2g.git.remote import run_checked
from m2g.git.sign import SIGNING_KEY, sign_commit

_BASE, _TREE = "M2g-Base", "M2g-Tree"
_PLAIN = re.compile(r"[A-Za-z0-9][\w .:/+-]{0,200}", re.ASCII)
Trailers = Sequence[tuple[str, str]]


class NewCommit(Value, frozen=True, kw_only=True):
    """A commit to make on top of `parent`: the files to write and to remove, and its message."""

    parent: str
    files: Mapping[str, bytes]
    removals: frozenset[str]
    subject: str
    body: str = ""
    trailers: tuple[tuple[str, str], ...] = ()


class Made(Value, frozen=True, kw_only=True):
    """A commit as Git has it. `own` tells that m2g made it and nobody has changed it since."""

    oid: str
    parents: tuple[str, ...]
    own: bool
    trailers: Mapping[str, str]


def make_commits(folder: Path, commits: Sequence[NewCommit], author: Author, when: int) -> list[str]:
    """The new commits, in this order. `when` is in seconds since the epoch. Their objects are in the repository at
    `folder`; no ref, index or working tree changes."""
    if not commits:
        return []
    trees = _import(folder, commits, author, when)
    return [_commit(folder, commit, tree, author, when) for commit, tree in zip(commits, trees, strict=True)]


def _import(folder: Path, commits: Sequence[NewCommit], author: Author, when: int) -> list[str]:
    """The trees of the commits, by one process: git fast-import writes blobs and trees from a parent and changes."""
    parts: list[bytes] = []
    for number, commit in enumerate(commits):
        parts += [
            f"commit refs/m2g/new/{number}\n".encode(),
            f"committer {author.name} <{author.email}> {when} +0000\n".encode(),
            b"data 0\n",
            f"from {commit.parent}\n".encode(),
        ]
        parts += [f"D {_quote(path)}\n".encode(errors="surrogateescape") for path in sorted(commit.removals)]
        for path, content in sorted(commit.files.items()):
            parts.append(f"M 100644 inline {_quote(path)}\n".encode(errors="surrogateescape"))
            parts += [f"data {len(content)}\n".encode(), content, b"\n"]
    run_checked(folder, "fast-import", "--quiet", "--force", "--date-format=raw", stdin=b"".join(parts))
    names = [f"refs/m2g/new/{number}" for number in range(len(commits))]
    trees = run_checked(folder, "rev-parse", *(f"{name}^{{tree}}" for name in names)).decode().split()
    run_checked(folder, "update-ref", "--stdin", stdin="".join(f"delete {name}\n" for name in names).encode())
    return trees


def _commit(folder: Path, commit: NewCommit, tree: str, author: Author, when: int) -> str:
    trailers = [*commit.trailers, (_BASE, commit.parent), (_TREE, tree)]
    message = "\n\n".join(
        part
        for part in (
            make_visible(commit.subject, 200),
            commit.body.strip(),
            "\n".join(f"{name}: {format_trailer(value)}" for name, value in trailers),
        )
        if part
    )
    stamp = f"{author.name} <{author.email}> {when} +0000"
    if os.environ.get(SIGNING_KEY, "").strip():
        return sign_commit(folder, tree, commit.parent, stamp, message)
    content = f"tree {tree}\nparent {commit.parent}\nauthor {stamp}\ncommitter {stamp}\n\n{message}\n".encode()
    return run_checked(folder, "hash-object", "-t", "commit", "-w", "--stdin", stdin=content).decode().strip()


def format_trailer(value: str) -> str:
    """A value on one line that cannot look like another trailer; anything unusual becomes a JSON string."""
    if _PLAIN.fullmatch(value):
        return value
    import json

    return json.dumps(value[:500])


def read_commits(folder: Path, oids: Sequence[str]) -> dict[str, Made]:
    """The commits with these ids."""
    if not oids:
        return {}
    output = run_checked(folder, "cat-file", "--batch", stdin="".join(f"{oid}\n" for oid in oids).encode())
    made: dict[str, Made] = {}
    position = 0
    for oid in oids:
        end = output.index(b"\n", position)
        size = int(output[position:end].split(b" ")[2])
        made[oid] = _parse(oid, output[end + 1 : end + 1 + size].decode(errors="replace"))
        position = end + 1 + size + 1
    return made


def _parse(oid: str, text: str) -> Made:
    head, _, message = text.partition("\n\n")
    fields = [line.partition(" ")[::2] for line in head.splitlines()]
    parents = tuple(value for key, value in fields if key == "parent")
    tree, author, committer = (next((v for k, v in fields if k == key), "") for key in ("tree", "author", "committer"))
    lines = message.rstrip("\n").rpartition("\n\n")[2].splitlines()
    trailers = dict(line.partition(": ")[::2] for line in lines if line.startswith("M2g-"))
    own = len(parents) == 1 and author == committer and (trailers.get(_BASE), trailers.get(_TREE)) == (parents[0], tree)
    return Made(oid=oid, parents=parents, own=own, trailers=trailers)


def find_beyond(folder: Path, base: str, oids: Sequence[str]) -> frozenset[str]:
    """Those of the commits that are not in the history of `base`."""
    if all(oid == base for oid in oids):
        return frozenset()
    listed = run_checked(
        folder, "rev-list", "--stdin", stdin="".join(f"{one}\n" for one in (*oids, f"^{base}")).encode()
    )
    return frozenset(oids) & frozenset(listed.decode().split())


def read_changes(folder: Path, old: str, new: str) -> dict[str, str]:
    """Each path that differs between two commits, with its object id in the new one; empty where it is removed."""
    listed = run_checked(folder, "diff-tree", "-r", "-z", "--no-renames", "--raw", old, new)
    parts = listed.split(b"\0")
    changed: dict[str, str] = {}
    for about, path in zip(parts[::2], parts[1::2], strict=False):
        _, mode, _, oid, _ = about.decode().lstrip(":").split(" ")
        changed[os.fsdecode(path)] = "" if mode == "000000" else oid
    return changed


def _quote(path: str) -> str:
    """A path as git fast-import reads it: in C's quotes, if it has anything unusual."""
    if path.isprintable() and not any(mark in path for mark in '"\\ ') and path.isascii():
        return path
    escaped = "".join(
        chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:03o}" for byte in os.fsencode(path)
    )
    return f'"{escaped}"'
