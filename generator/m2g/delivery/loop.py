"""The write loop: fetch, render on what is there now, push what is expected, and start again if somebody was faster.

Nothing is ever rebased: files that m2g writes are written anew on the new base.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import UNSET

from m2g import kustomize
from m2g.changes import write
from m2g.core.errors import M2gError, OutsideError
from m2g.core.finding import Finding, Report, Severity
from m2g.core.model import Value
from m2g.core.proposal_types import Proposals
from m2g.core.results import Failure
from m2g.delivery.branches import read_heads
from m2g.delivery.grouping import Names, group_releases, make_names
from m2g.delivery.plan import Rules, State, Step, explain_declined, find_declined, find_uncovered, make_plan
from m2g.delivery.publish import (
    Describe,
    Publisher,
    PullMoved,
    Reviewer,
    close_duplicates,
    delete_branches,
    make_commit,
    push_steps,
    report_step,
)
from m2g.delivery.survey import Resolve, Survey, SurveyOptions, build_wanted, survey
from m2g.delivery.values import Action, Moved, Proposal, SyncResult, Wanted
from m2g.forge import Forge, Pull
from m2g.git.commit import make_commits
from m2g.git.push import BranchUpdate, Outcome, push
from m2g.git.worktree import Fetched, Worktree
from m2g.repository import layout
from m2g.repository.state import Scope
from m2g.review import Review, review
from m2g.review.compare import build_comparison

TRIES = 10
SMOKE = "smoke-failed"
"""The finding of a smoke test: the proposal shows it, and nothing is committed without a proposal."""
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
    """Start again: the branch has changed. `lost` tells that another run was faster, so that it helps to wait."""

    def __init__(self, *, lost: bool = True) -> None:
        self.lost = lost


def run_loop(worktree: Worktree, options: LoopOptions, tools: Tools) -> SyncResult:
    """Bring branches and pull requests to what the registry says. Raises OutsideError if ten tries were not enough."""
    committed: list[Proposal] = []
    names = make_names(worktree.prefix, Proposals())
    for attempt in range(TRIES):
        try:
            run = _Run(worktree, options, tools, committed)
            fetched = run.fetch(options.branch, names)
            found = run.survey(fetched)
            chosen = found.state.config.proposals.branch
            branch = options.branch or (fetched.branch if chosen is UNSET else chosen)
            if names != found.names or branch != fetched.branch:
                before, names, fetched = fetched, found.names, run.fetch(branch, found.names)
                found = found if fetched.base == before.base else run.survey(fetched)
            if names != found.names:
                names = found.names
                raise _Again(lost=False)
            return run.run(fetched, found)
        except _Again as again:
            if again.lost:
                tools.progress("wait", 0, 0)
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
        self._noted: set[tuple[str, str]] = set()
        self._reviews: Review | None = None

    def fetch(self, branch: str, names: Names) -> Fetched:
        """The branch to change and those of the fleet."""
        self._tools.progress("fetch", 0, 0)
        return self._worktree.fetch(branch, names.are_of)

    def survey(self, fetched: Fetched) -> Survey:
        """What the branch lacks."""
        resolve = self._tools.resolve(self._root, fetched.base)
        return survey(self._root, resolve, self._options.survey, self._worktree.prefix)

    def run(self, fetched: Fetched, found: Survey) -> SyncResult:
        """Carry out what is lacking. Raises _Again."""
        rules, names = found.state.config.proposals, found.names
        self._findings += found.findings
        direct = self._commit_direct(fetched, found, rules)
        forge = self._tools.open_forge(rules)
        state, wanted, declined = self._compare(fetched, found, rules, forge)
        planned = Rules(
            max_open=rules.max_open,
            max_per_run=rules.max_per_run,
            max_per_hour=rules.max_per_hour,
            reopen=self._options.reopen,
            pull_requests=forge.capabilities.pull_requests,
            labels=rules.labels,
            can_label=forge.capabilities.labels,
        )
        reasons = _find_holds(fetched, found) | {names.name(one, rules, found.tags): why for one, why in declined}
        steps = make_plan(wanted, state, planned, is_certain=found.is_certain, reasons=reasons)
        checked = self._check(fetched, found, steps)
        if checked:
            wanted = [_block(one, checked) for one in wanted]
            steps = make_plan(wanted, state, planned, is_certain=found.is_certain, reasons=reasons)
        left = [
            Proposal(action=Action.LEAVE, branch=names.name(one, rules, found.tags), title="", why=why, models=(one,))
            for one, why in declined
        ]
        if self._options.dry_run:
            done = [report_step(step, rules) for step in steps]
        else:
            done = self._carry_out(fetched, found, steps, state, forge)
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
        names = found.names
        pulls = _list_open(forge, names, fetched)
        if self._options.dry_run:
            pulls = list({pull.branch: pull for pull in reversed(pulls)}.values())
        else:
            pulls = close_duplicates(forge, pulls)
        there = {pull.branch: pull for pull in pulls}
        grouped = group_releases(found.moved, names, rules, found.tags)
        moved = [one for group in grouped.values() for one in group]
        new = find_uncovered(moved, lambda one: names.name(one, rules, found.tags), State(heads={}, open=there))
        asked = dict.fromkeys(name for one in new for name in names.list_all(one, rules, found.tags))
        if found.upgrade is not None and names.upgrade not in there:
            asked[names.upgrade] = None
        listed = forge.list_closed(names.prefix, tuple(asked)) if asked else []
        closed = tuple(pull for pull in listed if pull.base == fetched.branch and names.are_of(pull.branch))
        numbers = find_declined(new, State(heads={}, open=there, closed=closed), self._options.reopen)
        declined = [(one, explain_declined(one, numbers[one.identity])) for one in moved if one.identity in numbers]
        wanted = [found.upgrade] if found.upgrade is not None else []
        for number, (branch, group) in enumerate(grouped.items()):
            self._tools.progress("proposals", number, len(grouped))
            rest = tuple(one for one in group if one.identity not in numbers)
            if rest:
                wanted.append(build_wanted(found, branch, rest))
        wanted = [one for one in wanted if one.files or one.removals or one.blocked]
        by_branch = {one.branch: one for one in wanted}
        heads = read_heads(self._worktree, fetched.base, fetched.heads, by_branch, rules)
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
        for finding in report.findings:
            place = layout.parse_path(finding.file)
            self._noted |= {(place.slug, finding.environment or place.environment)} if place is not None else {("", "")}
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
        failed = [one for one in self._findings if one.rule == SMOKE]
        models = {(one.model, one.environment) for one in wanted.moved}
        notes = tuple(dict.fromkeys(one.message for one in failed if (one.model, one.environment) in models))
        return msgspec.structs.replace(whole, changes=mine, outside=(), files=(), notes=notes)

    def _is_clean(self, wanted: Wanted) -> bool:
        """Whether validation has said nothing about a proposal, or about all models."""
        about = {("", "")} | {place for one in wanted.moved for place in (one.key, (one.slug, ""))}
        return not about & self._noted

    def _commit_direct(self, fetched: Fetched, found: Survey, rules: Proposals) -> list[Proposal]:
        """Commit the releases of environments with direct commits. What was committed changes the base: start again."""
        failed = {(one.model, one.environment) for one in found.findings if one.rule == SMOKE}
        moved = tuple(one for one in found.moved if one.environment in rules.direct)
        moved = tuple(one for one in moved if (one.model, one.environment) not in failed)
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
            step = msgspec.structs.replace(step, action=action, why=wanted.blocked or step.why)
            return [report_step(step, rules)]
        (oid,) = make_commits(
            self._clone,
            [make_commit(wanted, fetched.base, self._worktree.prefix, rules)],
            rules.author,
            int(time.time()),
        )
        update = BranchUpdate(branch=fetched.branch, old=fetched.base, new=oid)
        pushed = push(self._clone, self._worktree.remote, [update])[fetched.branch]
        if pushed.outcome is Outcome.REFUSED:
            why = f"the remote refuses a commit to {fetched.branch}: {pushed.reason}"
            return [report_step(msgspec.structs.replace(step, action=Action.WAIT, why=why), rules)]
        if pushed.outcome is Outcome.DONE:
            self._committed.append(report_step(step, rules))
            raise _Again(lost=False)
        raise _Again

    def _carry_out(
        self, fetched: Fetched, found: Survey, planned: Sequence[Step], state: State, forge: Forge
    ) -> list[Proposal]:
        rules = found.state.config.proposals
        reviewer = Reviewer(review=self._review_of, is_clean=self._is_clean, describe=self._tools.describe)
        publisher = Publisher(forge, fetched.branch, rules, reviewer)
        steps = [publisher.stop_merge(step) for step in planned]
        pushes = push_steps(self._worktree, fetched, steps, state.heads, publisher)
        if pushes.lost:
            raise _Again
        done: list[Proposal] = []
        for number, step in enumerate(steps):
            self._tools.progress("pull requests", number, len(steps))
            head = pushes.heads.get(step.branch) or (state.heads[step.branch].oid if step.branch in state.heads else "")
            try:
                done.append(publisher.carry_out(step, pushes.outcomes.get(step.branch), head))
            except PullMoved as moved:
                raise _Again from moved
        failed = {one.branch for one in done if one.action is Action.WAIT}
        gone = [step for step in steps if step.delete and step.branch not in failed]
        delete_branches(self._worktree, gone, state.heads)
        if any(one.action is Action.CREATE for one in done) and forge.capabilities.pull_requests:
            close_duplicates(forge, _list_open(forge, found.names, fetched))
        self._failures += publisher.failures
        return done


def _list_open(forge: Forge, names: Names, fetched: Fetched) -> list[Pull]:
    """The open pull requests of this fleet into the branch to change."""
    pulls = forge.list_open(names.prefix)
    return [pull for pull in pulls if pull.base == fetched.branch and names.are_of(pull.branch)]


def _find_holds(fetched: Fetched, found: Survey) -> dict[str, str]:
    """Why nothing is wanted on a branch: a person holds its release."""
    held: dict[tuple[str, str], str] = {}
    for finding in found.findings:
        place = layout.parse_path(finding.file)
        if finding.rule == "held-by-revert" and place is not None:
            held[place.slug, place.environment] = finding.message
    keys = {branch: found.names.find_key(branch) for branch in fetched.heads}
    return {branch: held[key] for branch, key in keys.items() if key in held}


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
