"""The branches of m2g on the remote: whose they are, and whether they still say what is wanted."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from m2g.core.proposal_types import Proposals
from m2g.delivery.publish import make_commit
from m2g.delivery.values import Head, Wanted
from m2g.git.commit import NewCommit, find_beyond, read_changes, read_commits
from m2g.git.worktree import Worktree


def read_heads(
    worktree: Worktree, base: str, oids: Mapping[str, str], wanted: Mapping[str, Wanted], rules: Proposals
) -> dict[str, Head]:
    """Branch → its head. `oids` are the commits of the branches.

    Anybody can make a commit that looks like m2g's. One on top of what the branch to change does not have is not fresh:
    its branch would bring more than m2g has checked.
    """
    commits = read_commits(worktree.folder, sorted(set(oids.values())))
    beyond = find_beyond(worktree.folder, base, sorted({one.parents[0] for one in commits.values() if one.own}))
    return {
        branch: Head(
            oid=oid,
            own=commits[oid].own,
            fresh=commits[oid].own
            and branch in wanted
            and commits[oid].parents[0] not in beyond
            and _is_fresh(
                worktree, base, commits[oid].parents[0], make_commit(wanted[branch], base, worktree.prefix, rules), oid
            ),
        )
        for branch, oid in oids.items()
    }


def _is_fresh(worktree: Worktree, base: str, parent: str, wanted: NewCommit, oid: str) -> bool:
    """Whether the commit changes exactly the wanted files, and the branch to change has not touched them since."""
    files = {path: _name_blob(content, len(oid)) for path, content in wanted.files.items()}
    folder = worktree.folder
    if read_changes(folder, parent, oid) != files | dict.fromkeys(wanted.removals, ""):
        return False
    since = {} if parent == base else read_changes(folder, parent, base)
    return not since.keys() & (files.keys() | wanted.removals)


def _name_blob(content: bytes, length: int) -> str:
    """Git's object id of a file's content, in a repository with ids of this length."""
    form = hashlib.sha256 if length == 64 else hashlib.sha1
    return form(b"blob %d\0" % len(content) + content).hexdigest()
