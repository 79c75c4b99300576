"""The write loop: fetch, render on what is there now, push what is expected, and start again if somebody was faster.

Nothing is ever rebased: files that m2g writes are written anew on the new base.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import msgspec

from m2g import kustomize
from m2g.changes import write
from m2g.core.errors import M2gError, OutsideError
from m2g.core.finding import Finding, Report, Severity
from m2g.core.model import Value
from m2g.core.proposal_types import Proposals
from m2g.core.results import Failure
from m2g.delivery.branches import read_heads
from m2g.delivery.grouping import group_releases, name_branch
from m2g.delivery.plan import Rules, State, Step, explain_declined, find_declined, make_plan
from m2g.delivery.publish import (
    Describe,
    Publisher,
    close_duplicates,
    delete_branches,
    make_commit,
    push_steps,
    report_step,
)
from m2g.delivery.survey import Resolve, Survey, SurveyOptions, build_wanted, survey
from m2g.delivery.values import PREFIX, UPGRADE, Action, Moved, Proposal, SyncResult, Wanted
from m2g.forge import Forge
from m2g.git.commit import make_commits
from m2g.git.push import BranchUpdate, Outcome, push
from m2g.git.worktree import Fetched, Worktree
from m2g.repository import layout
from m2g.repository.state import Scope
from m2g.review import Review, review
from m2g.review.compare import build_comparison

TRIES = 10
_LONGEST = 30.0
Validate = Callable[[Path, Scope], Report]


class LoopOptions(Value, frozen=True, kw_only=True):
    """How to run: `survey` limits it; `reopen` are models that are proposed again although somebody declined them."""

    survey: SurveyOptions
    dry_run: bool = False
    reopen: frozenset[str] = frozenset()
    branch: str = ""


class Tools(msgspec.Struct, frozen=True, kw_only=True):
    """What the loop needs from above and from outside: wanted records, validation, the text of a review, a forge."""

    resolve: Callable[[Path, str], Resolve]
    """For the folder and the commit of the branch."""
    validate: Validate
    describe: Describe
    open_forge: Callable[[Proposals], Forge]
    progress: kustomize.Progress = lambda what, done, total: None


class _Again(Exception):
    """The branch has changed: start again. `lost` tells that another run was faster, so that it helps to wait."""

    def __init__(self, *, lost: bool = True) -> None:
        self.lost = lost


def run_loop(worktree: Worktree, options: LoopOptions, tools: Tools) -> SyncResult:
    """Bring branches and pull requests to what the registry says. Raises OutsideError if ten tries were not enough."""
    committed: list[Proposal] = []
    for attempt in range(TRIES):
        try:
            return _Run(worktree, options, tools, committed).run()
        except _Again as again:
            if again.lost:
                time.sleep(min(1.5**attempt, _LONGEST) * random.uniform(0.5, 1.5))  # noqa: S311  # not a secret
    raise OutsideError(
        f"{worktree.remote.shown}: other runs were faster {TRIES} times, so that m2g could not push",
        hint="let fewer runs of m2g sync work at the same time (in CI, with a concurrency group), then try again",
    )


class _Run:
    """One try. `committed` are the direct commits of earlier tries."""

    def __init__(self, worktree: Worktree, options: LoopOptions, tools: Tools, committed: list[Proposal]) -> None:
        self._worktree = worktree
        self._root = worktree.root
        self._clone = worktree.folder
        self._options = options
        self._tools = tools
        self._committed = committed
        self._findings: list[Finding] = []
        self._failures: list[M2gError] = []
        self._reviews: Review | None = None

    def run(self) -> SyncResult:
        tell = self._tools.progress
        tell("fetch", 0, 0)
        fetched = self._worktree.fetch(self._options.branch, PREFIX)
        found = survey(self._root, self._tools.resolve(self._root, fetched.base), self._options.survey)
        rules = found.state.config.proposals
        self._findings += found.findings
        direct = self._commit_direct(fetched, found, rules)
        forge = self._tools.open_forge(rules)
        state, wanted, declined = self._compare(fetched, found, rules, forge)
        planned = Rules(
            max_open=rules.max_open,
            max_per_run=rules.max_per_run,
            reopen=self._options.reopen,
            pull_requests=forge.capabilities.pull_requests,
            labels=rules.labels if forge.capabilities.labels else (),
        )
        reasons = {name_branch(one, rules): why for one, why in declined}
        steps = make_plan(wanted, state, planned, is_certain=found.is_certain, reasons=reasons)
        checked = self._check(fetched, found, steps)
        if checked:
            wanted = [_block(one, checked) for one in wanted]
            steps = make_plan(wanted, state, planned, is_certain=found.is_certain, reasons=reasons)
        left = [
            Proposal(action=Action.LEAVE, branch=name_branch(one, rules), title="", why=why, models=(one,))
            for one, why in declined
        ]
        if self._options.dry_run:
            done = [report_step(step) for step in steps]
        else:
            done = self._carry_out(fetched, steps, state, rules, forge)
        return SyncResult(
            branch=fetched.branch,
            base=fetched.base,
            dry_run=self._options.dry_run,
            proposals=(*self._committed, *direct, *done, *left),
            findings=tuple(dict.fromkeys(self._findings)),
            problems=tuple(
                Failure(message=one.message, hint=one.hint, exit_code=one.exit_code) for one in self._failures
            ),
        )

    def _compare(
        self, fetched: Fetched, found: Survey, rules: Proposals, forge: Forge
    ) -> tuple[State, list[Wanted], list[tuple[Moved, str]]]:
        """The state of branches and pull requests, what is wanted, and what was declined and why."""
        pulls = [pull for pull in forge.list_open(PREFIX) if pull.base == fetched.branch]
        if self._options.dry_run:
            pulls = list({pull.branch: pull for pull in reversed(pulls)}.values())
        else:
            pulls = close_duplicates(forge, pulls)
        there = {pull.branch: pull for pull in pulls}
        grouped = group_releases(found.moved, rules)
        asked = [*grouped, *([UPGRADE] if found.upgrade is not None else [])]
        closed = {
            branch: tuple(pull for pull in forge.list_closed(branch) if pull.base == fetched.branch) for branch in asked
        }
        before = State(heads={}, open=there, closed=closed)
        moved = [one for group in grouped.values() for one in group]
        numbers = find_declined(moved, lambda one: name_branch(one, rules), before, self._options.reopen)
        declined = [(one, explain_declined(one, numbers[one.identity])) for one in moved if one.identity in numbers]
        wanted = [found.upgrade] if found.upgrade is not None else []
        for number, (branch, group) in enumerate(grouped.items()):
            self._tools.progress("proposals", number, len(grouped))
            rest = tuple(one for one in group if one.identity not in numbers)
            if rest:
                wanted.append(build_wanted(found, branch, rest))
        wanted = [one for one in wanted if one.files or one.removals or one.blocked]
        by_branch = {one.branch: one for one in wanted}
        heads = read_heads(self._worktree, fetched.base, fetched.heads, by_branch)
        return State(heads=heads, open=there, closed=closed), wanted, declined

    def _check(self, fetched: Fetched, found: Survey, steps: Collection[Step]) -> dict[tuple[str, str], str]:
        """Write all that is new into the temporary clone, validate and compare it. Why a release cannot be proposed."""
        new = [step.wanted for step in steps if step.wanted is not None and step.action in _SHOWN]
        if not new:
            return {}
        return self._validate(fetched, found, new)

    def _validate(self, fetched: Fetched, found: Survey, new: Sequence[Wanted]) -> dict[tuple[str, str], str]:
        together = build_wanted(found, "", tuple(move for one in new for move in one.moved))
        others = [one for one in new if not one.moved]
        files = dict(together.files) | {path: content for one in others for path, content in one.files.items()}
        removals = together.removals.union(*(one.removals for one in others))
        _write(self._root, files, removals)
        slugs = {place.slug for path in (*files, *removals) if (place := layout.parse_path(path)) is not None}
        self._tools.progress("validate", 0, 0)
        there = frozenset(slug for slug in slugs if (self._root / layout.model(slug)).is_dir())
        report = self._tools.validate(self._root, Scope(models=there)) if there else Report()
        self._findings += report.findings
        comparison = build_comparison(self._root, fetched.base, Scope(), progress=self._tools.progress)
        self._worktree.reset(fetched.base)
        self._reviews = review(comparison.old, comparison.new, against=fetched.branch, notes=comparison.notes)
        blocked: dict[tuple[str, str], str] = {}
        for finding in report.findings:
            place = layout.parse_path(finding.file)
            if finding.severity is Severity.ERROR and place is not None:
                text = f"m2g validate: {finding.file}: {finding.message}"
                blocked.setdefault((place.slug, finding.environment or place.environment), text)
        return blocked

    def _review_of(self, wanted: Wanted) -> Review:
        """The part of the review that is about one proposal."""
        whole = self._reviews or Review(against="")
        keys = {one.key for one in wanted.moved}
        slugs = {place.slug for path in wanted.files if (place := layout.parse_path(path)) is not None}
        mine = tuple(
            change
            for change in whole.changes
            if ((change.slug, change.environment) in keys if keys else change.slug in slugs)
        )
        return msgspec.structs.replace(whole, changes=mine, outside=(), files=(), notes=())

    def _commit_direct(self, fetched: Fetched, found: Survey, rules: Proposals) -> list[Proposal]:
        """Commit the releases of environments with direct commits. What was committed changes the base: start again."""
        moved = tuple(one for one in found.moved if one.environment in rules.direct)
        if not moved:
            return []
        wanted = build_wanted(found, fetched.branch, moved)
        step = Step(
            action=Action.COMMIT, branch=fetched.branch, why="the environment has direct commits", wanted=wanted
        )
        if not (wanted.files or wanted.removals) and not wanted.blocked:
            return []
        if not wanted.blocked:
            wanted = _block(wanted, self._validate(fetched, found, [wanted]))
        if wanted.blocked or self._options.dry_run:
            action = Action.WAIT if wanted.blocked else Action.COMMIT
            return [report_step(msgspec.structs.replace(step, action=action, why=wanted.blocked or step.why))]
        (oid,) = make_commits(
            self._clone, [make_commit(wanted, fetched.base, self._worktree.prefix)], rules.author, int(time.time())
        )
        update = BranchUpdate(branch=fetched.branch, old=fetched.base, new=oid)
        pushed = push(self._clone, self._worktree.remote, [update])[fetched.branch]
        if pushed.outcome is Outcome.REFUSED:
            why = f"the remote refuses a commit to {fetched.branch}: {pushed.reason}"
            return [report_step(msgspec.structs.replace(step, action=Action.WAIT, why=why))]
        if pushed.outcome is Outcome.DONE:
            self._committed.append(report_step(step))
            raise _Again(lost=False)
        raise _Again

    def _carry_out(
        self, fetched: Fetched, steps: Sequence[Step], state: State, rules: Proposals, forge: Forge
    ) -> list[Proposal]:
        pushes = push_steps(self._worktree, fetched.base, steps, state.heads, rules)
        if pushes.lost:
            raise _Again
        publisher = Publisher(forge, fetched.branch, rules, self._review_of, self._tools.describe)
        done: list[Proposal] = []
        for number, step in enumerate(steps):
            self._tools.progress("pull requests", number, len(steps))
            done.append(publisher.carry_out(step, pushes.outcomes.get(step.branch)))
        failed = {one.branch for one in done if one.action is Action.WAIT}
        gone = [step for step in steps if step.delete and step.branch not in failed]
        delete_branches(self._worktree, gone, state.heads)
        if any(one.action is Action.CREATE for one in done) and forge.capabilities.pull_requests:
            close_duplicates(forge, [pull for pull in forge.list_open(PREFIX) if pull.base == fetched.branch])
        self._failures += publisher.failures
        return done


_SHOWN = (Action.CREATE, Action.UPDATE)


def _write(root: Path, files: Mapping[str, bytes], removals: Collection[str]) -> None:
    """Write into the temporary clone, by the rules of every write: through no symlink, only m2g's own files."""
    before = {
        path: (root / path).read_bytes()
        for path in (*files, *removals)
        if (root / path).is_file() and not (root / path).is_symlink()
    }
    with write.lock_repository(root):
        write.write_tree(root, files, removals, before)


def _block(wanted: Wanted, reasons: Mapping[tuple[str, str], str]) -> Wanted:
    """The proposal, with the reason why it cannot be made now. A finding about no environment is about all."""
    slugs = {place.slug for path in wanted.files if (place := layout.parse_path(path)) is not None}
    keys = {one.key for one in wanted.moved} | {(slug, "") for slug in slugs}
    about = (
        text
        for (slug, environment), text in reasons.items()
        if (slug, environment) in keys or (not wanted.moved and slug in slugs)
    )
    why = next(about, "")
    return msgspec.structs.replace(wanted, blocked=why) if why and not wanted.blocked else wanted
