"""Propose an edit that a person asked for: files that people write, and what m2g renders from them.

Its branch is not below the prefix of `m2g sync`, which would close it: no registry says that it is wanted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from m2g.core.errors import InputError, OutsideError
from m2g.core.finding import Severity
from m2g.core.proposal_types import Proposals
from m2g.delivery.branches import read_heads
from m2g.delivery.grouping import make_names
from m2g.delivery.loop import TRIES, Validate
from m2g.delivery.publish import Describe, make_commit
from m2g.delivery.values import Action, Moved, Proposal, Wanted
from m2g.delivery.words import list_labels, write_title
from m2g.forge import Draft, Forge, Pull
from m2g.git.commit import make_commits
from m2g.git.push import BranchUpdate, Outcome, push
from m2g.git.worktree import Fetched, Worktree
from m2g.repository import layout
from m2g.repository.state import Scope
from m2g.review import Review, Risk, review
from m2g.review.compare import build_comparison


class Edited(msgspec.Struct, frozen=True, kw_only=True):
    """What an edit did in the temporary clone: the release that moves, the files that changed, and words for people."""

    moved: Moved
    files: tuple[str, ...]
    text: str
    rules: Proposals


class EditTools(msgspec.Struct, frozen=True, kw_only=True):
    """What `propose_edit` needs from above and from outside."""

    edit: Callable[[Path], Edited]
    """Edit the files in a folder. It raises InputError if there is nothing to do, or if it may not."""
    validate: Validate
    describe: Describe
    open_forge: Callable[[Proposals], Forge]


def propose_edit(worktree: Worktree, branch: str, tools: EditTools) -> Proposal:
    """Open a pull request for an edit, or bring the one that is open up to date.

    Raises InputError if the edit is refused, if its result is invalid, or if somebody else has committed to its branch;
    OutsideError if the remote or the forge fails.
    """
    for _ in range(TRIES):
        fetched = worktree.fetch(branch, lambda name: "-edit/" in name)
        found = _try(worktree, fetched, tools)
        if found is not None:
            return found
    raise OutsideError(f"{worktree.remote.shown}: other runs were faster {TRIES} times", hint="try again")


def _try(worktree: Worktree, fetched: Fetched, tools: EditTools) -> Proposal | None:
    """None if somebody was faster."""
    root = worktree.root
    edited = tools.edit(root)
    moved, rules = edited.moved, edited.rules
    contents = {path: (root / path).read_bytes() for path in edited.files if (root / path).is_file()}
    wanted = Wanted(
        branch=f"{make_names(worktree.prefix, rules).prefix[:-1]}-edit/{moved.environment}/{moved.slug}",
        moved=(moved,),
        files=contents,
        removals=frozenset(edited.files) - contents.keys(),
    )
    _validate(root, moved, tools)
    comparison = build_comparison(root, fetched.base, Scope())
    whole = review(comparison.old, comparison.new, against=fetched.branch, notes=comparison.notes)
    mine = tuple(one for one in whole.changes if (one.slug, one.environment) == moved.key)
    about = msgspec.structs.replace(whole, changes=mine, outside=(), files=(), notes=())
    heads = {wanted.branch: fetched.heads[wanted.branch]} if wanted.branch in fetched.heads else {}
    head = read_heads(worktree, fetched.base, heads, {wanted.branch: wanted}, rules).get(wanted.branch)
    if head is not None and not head.own:
        raise InputError(
            f"the branch {wanted.branch} has a commit that is not m2g's",
            hint=f"merge or close its pull request, then delete it: git push origin :{wanted.branch}",
        )
    if head is None or not head.fresh:
        commit = make_commit(wanted, fetched.base, worktree.prefix, rules)
        (oid,) = make_commits(worktree.folder, [commit], rules.author, int(time.time()))
        update = BranchUpdate(branch=wanted.branch, old="" if head is None else head.oid, new=oid)
        pushed = push(worktree.folder, worktree.remote, [update])[wanted.branch]
        if pushed.outcome is Outcome.MOVED:
            return None
        if pushed.outcome is Outcome.REFUSED:
            hint = f"let m2g push the branch {wanted.branch}"
            raise OutsideError(f"the remote refuses {wanted.branch}: {pushed.reason}", hint=hint)
    return _open(tools, edited, wanted, about, fetched.branch)


def _validate(root: Path, moved: Moved, tools: EditTools) -> None:
    if not (root / layout.model(moved.slug)).is_dir():
        return
    report = tools.validate(root, Scope(models=frozenset({moved.slug})))
    wrong = next((one for one in report.findings if one.severity is Severity.ERROR), None)
    if wrong is not None:
        raise InputError(f"the result would be invalid: {wrong.file}: {wrong.message}", hint=wrong.hint)


def _open(tools: EditTools, edited: Edited, wanted: Wanted, about: Review, base: str) -> Proposal:
    rules = edited.rules
    forge = tools.open_forge(rules)
    can = forge.capabilities
    title = write_title(wanted, rules.title)[: can.title]
    if not can.pull_requests:
        return _report(wanted, title, Action.CREATE, None, forge.describe_new(wanted.branch, base))
    risk = next((str(one) for one in Risk if any(change.risk is one for change in about.changes)), "")
    labels = list_labels(wanted, rules.labels, risk) if can.labels else ()
    body = f"{edited.text}\n\n{tools.describe(about, can.body - len(edited.text) - 100).strip()}\n"
    pulls = [pull for pull in forge.list_open(wanted.branch) if (pull.branch, pull.base) == (wanted.branch, base)]
    if pulls:
        forge.update(pulls[0], title=title, body=body)
        return _report(wanted, title, Action.UPDATE, pulls[0])
    draft = Draft(
        branch=wanted.branch,
        base=base,
        title=title,
        body=body,
        labels=labels,
        reviewers=rules.reviewers,
        assignees=rules.assignees,
        draft=rules.draft and can.drafts,
    )
    return _report(wanted, title, Action.CREATE, forge.open(draft))


def _report(wanted: Wanted, title: str, action: Action, pull: Pull | None, url: str = "") -> Proposal:
    return Proposal(
        action=action,
        branch=wanted.branch,
        title=title,
        why="somebody asked for it",
        number=pull.number if pull is not None else 0,
        url=pull.url if pull is not None else url,
        models=wanted.moved,
    )
