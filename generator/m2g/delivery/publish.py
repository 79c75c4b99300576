"""Carry out a plan: commits and pushes, then pull requests. Every step can be repeated by the next run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import msgspec

from m2g.core.errors import InputError, M2gError, OutsideError
from m2g.core.proposal_types import Proposals
from m2g.core.results import ChangeKind
from m2g.delivery.marker import Marker, read_marker, replace_marker
from m2g.delivery.plan import Step
from m2g.delivery.values import EDITED, Action, Head, Proposal, Wanted
from m2g.delivery.words import list_labels, list_trailers, write_body, write_title
from m2g.forge import Draft, Forge, Pull, PullState
from m2g.git.commit import NewCommit, make_commits
from m2g.git.push import BranchUpdate, Outcome, Pushed, push
from m2g.git.worktree import Fetched, Worktree
from m2g.review import Review, Risk

Describe = Callable[[Review, int], str]
"""A review as Markdown of at most so many characters."""


class Pushes(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of each push, by branch, and whether another run was faster somewhere."""

    outcomes: Mapping[str, Pushed]
    heads: Mapping[str, str]

    @property
    def lost(self) -> bool:
        """Whether to fetch and start again."""
        return any(one.outcome is Outcome.MOVED for one in self.outcomes.values())


def push_steps(
    worktree: Worktree, fetched: Fetched, steps: Sequence[Step], heads: Mapping[str, Head], publisher: Publisher
) -> Pushes:
    """Make the commits of all steps, and push them with the heads that the plan knows. Raises OutsideError."""
    base, rules = fetched.base, publisher.rules
    chosen = [step for step in steps if step.push and step.wanted is not None and _is_done(step)]
    commits = [make_commit(step.wanted, base, worktree.prefix, rules) for step in chosen if step.wanted is not None]
    oids = make_commits(worktree.folder, commits, rules.author, int(time.time()))
    updates = [
        BranchUpdate(
            branch=step.branch,
            old=heads[step.branch].oid if step.branch in heads else "",
            new=oid,
            options=publisher.list_options(step),
        )
        for step, oid in zip(chosen, oids, strict=True)
    ]
    outcomes = push(worktree.folder, worktree.remote, updates)
    return Pushes(outcomes=outcomes, heads={one.branch: one.new for one in updates})


def _is_done(step: Step) -> bool:
    return step.action in (Action.CREATE, Action.UPDATE, Action.COMMIT)


def make_commit(wanted: Wanted, parent: str, prefix: str, rules: Proposals) -> NewCommit:
    """The one commit of a proposal. `prefix` is the folder of m2g.yaml in the repository."""
    return NewCommit(
        parent=parent,
        files={f"{prefix}{path}": content for path, content in wanted.files.items()},
        removals=frozenset(f"{prefix}{path}" for path in wanted.removals),
        subject=write_title(wanted, rules.title),
        trailers=list_trailers(wanted),
    )


class PullMoved(Exception):
    """Somebody merged or closed a pull request while m2g worked."""


class Reviewer(msgspec.Struct, frozen=True, kw_only=True):
    """What m2g has to say of a proposal: its review, the text of one, and whether m2g's own checks found nothing."""

    review: Callable[[Wanted], Review]
    is_clean: Callable[[Wanted], bool]
    describe: Describe


class Publisher:
    """Opens, updates and closes the pull requests of one run."""

    def __init__(self, forge: Forge, base: str, rules: Proposals, reviewer: Reviewer) -> None:
        self._forge = forge
        self._base = base
        self.rules = rules
        self._reviewer = reviewer
        self.failures: list[M2gError] = []

    def list_options(self, step: Step) -> tuple[str, ...]:
        """What the push of a branch asks the server for."""
        title = "" if step.wanted is None else write_title(step.wanted, self.rules.title)
        return self._forge.list_push_options(title[: self._forge.capabilities.title], self._base, self.rules.labels)

    def stop_merge(self, step: Step) -> Step:
        """Before other files come to a branch, or its pull request is closed: the forge must not merge it by itself.

        Nor must it once somebody else has committed to the branch.
        """
        pull = step.pull
        if (
            pull is None
            or not (step.push or step.tell or step.action is Action.CLOSE)
            or not (read_marker(pull.body) or Marker()).merge
        ):
            return step
        try:
            self._forge.stop_merge(pull)
        except (OutsideError, InputError) as error:
            self.failures.append(error)
            return msgspec.structs.replace(step, action=Action.WAIT, push=False, delete=False, why=error.message)
        return step

    def carry_out(self, step: Step, pushed: Pushed | None, head: str = "") -> Proposal:
        """What became of a step. If the forge refuses one, the others go on; `failures` has the error.

        `head` is the commit that the branch has now. Raises PullMoved.
        """
        if pushed is not None and pushed.outcome is Outcome.REFUSED:
            why = f"the remote refuses the branch: {pushed.reason}"
            self.failures.append(OutsideError(f"{step.branch}: {why}", hint="let m2g push branches below m2g/"))
            return self.report(msgspec.structs.replace(step, action=Action.WAIT, why=why))
        try:
            pull = self._carry_out(step, head or step.head)
        except (OutsideError, InputError) as error:
            self.failures.append(error)
            return self.report(msgspec.structs.replace(step, action=Action.WAIT, why=error.message))
        if pull is None and step.action in (Action.CREATE, Action.UPDATE):
            return self.report(step, url=self._forge.describe_new(step.branch, self._base))
        return self.report(step, pull)

    def report(self, step: Step, pull: Pull | None = None, url: str = "") -> Proposal:
        """A step in the result."""
        return report_step(step, self.rules, pull, url)

    def _carry_out(self, step: Step, head: str) -> Pull | None:
        pull = step.pull
        if step.tell and pull is not None:
            self._tell(pull, step)
        elif step.action is Action.CLOSE and pull is not None:
            close_pull(self._forge, pull, step.why)
        elif step.action in (Action.CREATE, Action.UPDATE) and step.wanted is not None:
            if not self._forge.capabilities.pull_requests:
                return None
            return self._propose(step.wanted, pull, head)
        return pull

    def _propose(self, wanted: Wanted, pull: Pull | None, head: str) -> Pull:
        can = self._forge.capabilities
        review = self._reviewer.review(wanted)
        before = read_marker(pull.body) if pull is not None else None
        if pull is not None and self._forge.read(pull).state is not PullState.OPEN:
            raise PullMoved
        title = write_title(wanted, self.rules.title)[: can.title]
        merge = "wanted" if self._may_merge(wanted, review) else ""
        body, _ = write_body(wanted, "", before, merge)
        body, marker = write_body(wanted, self._reviewer.describe(review, can.body - len(body) - 100), before, merge)
        risk = next((str(one) for one in Risk if any(change.risk is one for change in review.changes)), "")
        labels = list_labels(wanted, self.rules.labels, risk) if can.labels else ()
        if pull is None:
            draft = Draft(
                branch=wanted.branch,
                base=self._base,
                title=title,
                body=body,
                labels=labels,
                reviewers=self.rules.reviewers,
                assignees=self.rules.assignees,
                draft=self.rules.draft and can.drafts,
            )
            pull = self._forge.open(draft)
        else:
            self._forge.label(pull, labels)
            self._forge.update(pull, title=title, body=body)
        if merge:
            self._forge.merge_when_allowed(pull, head)
            asked = msgspec.structs.replace(marker, merge="asked")
            self._forge.update(pull, title=title, body=replace_marker(body, asked))
        return pull

    def _may_merge(self, wanted: Wanted, review: Review) -> bool:
        """Whether m2g.yaml lets the forge merge it without a person, and nothing about it needs one."""
        if not self._forge.capabilities.merges or wanted.is_upgrade or not self._reviewer.is_clean(wanted):
            return False
        allowed = all(one.environment in self.rules.auto_merge for one in wanted.moved)
        routine = all(change.risk is Risk.ROUTINE for change in review.changes)
        return (
            allowed
            and routine
            and not review.notes  # a smoke test has failed
            and bool(review.changes)
            and not any(one.kind is ChangeKind.REMOVED for one in wanted.moved)
        )

    def _tell(self, pull: Pull, step: Step) -> None:
        """Say once that the branch has a commit of somebody else. The label comes last but one, what stops it last."""
        head = step.head
        text = (
            "This branch has a commit that is not m2g's, so m2g leaves it to you: it will not be updated, even if "
            "another version is wanted. Merge or close this pull request, then delete the branch."
        )
        self._forge.comment(pull, text, f"<!-- m2g:edited {head} -->")
        self._forge.label(pull, [EDITED])
        marker = msgspec.structs.replace(read_marker(pull.body) or Marker(), edited=head)
        self._forge.update(pull, title=pull.title, body=replace_marker(pull.body, marker))


def close_pull(forge: Forge, pull: Pull, why: str) -> None:
    """Close a pull request so that everybody sees that m2g did it: nothing is declined by this."""
    marker = msgspec.structs.replace(read_marker(pull.body) or Marker(), closed=True)
    forge.update(pull, title=pull.title, body=replace_marker(pull.body, marker))
    forge.comment(pull, f"m2g closes this pull request: {why}.", f"<!-- m2g:closed {pull.number} -->")
    forge.close(pull)


def close_duplicates(forge: Forge, pulls: Sequence[Pull]) -> list[Pull]:
    """The oldest open pull request of each branch. The others, which two runs opened at once, are closed."""
    first: dict[str, Pull] = {}
    for pull in sorted(pulls, key=lambda one: one.number):
        if pull.branch not in first:
            first[pull.branch] = pull
        else:
            close_pull(forge, pull, f"#{first[pull.branch].number} proposes the same")
    return list(first.values())


def delete_branches(worktree: Worktree, steps: Sequence[Step], heads: Mapping[str, Head]) -> None:
    """Delete the branches of closed proposals. One that changed in between stays, for the next run."""
    updates = [BranchUpdate(branch=step.branch, old=heads[step.branch].oid, new="") for step in steps if step.delete]
    push(worktree.folder, worktree.remote, updates)


def report_step(step: Step, rules: Proposals, pull: Pull | None = None, url: str = "") -> Proposal:
    """A step in the result."""
    known = pull or step.pull
    title = known.title if known is not None else ""
    return Proposal(
        action=step.action,
        branch=step.branch,
        title=title if step.wanted is None else write_title(step.wanted, rules.title),
        why=step.why,
        number=known.number if known is not None else 0,
        url=known.url if known is not None else url,
        models=step.wanted.moved if step.wanted is not None else (),
    )
