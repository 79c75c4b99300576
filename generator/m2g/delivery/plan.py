"""Decide what becomes of each proposal: from what is wanted, the branches, and the pull requests. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

from m2g.core.model import Value
from m2g.delivery.marker import Marker, read_marker
from m2g.delivery.values import Action, Head, Moved, Wanted
from m2g.delivery.words import describe_move, digest_files, list_identities, list_labels
from m2g.forge import Pull, PullState

_HOUR = 3600


class State(Value, frozen=True, kw_only=True):
    """What there is: the branches of m2g, the open pull requests by branch, and closed ones, the newest first."""

    heads: Mapping[str, Head]
    open: Mapping[str, Pull]
    closed: tuple[Pull, ...] = ()

    def count_new(self) -> int:
        """How many pull requests were opened within an hour, as far as m2g knows."""
        return sum(pull.age < _HOUR for pull in (*self.open.values(), *self.closed))


class Rules(Value, frozen=True, kw_only=True):
    """The limits, what to propose again although it was declined (slugs, registered models, `upgrade`), whether the
    forge has pull requests at all, and the labels of each."""

    max_open: int = 20
    max_per_run: int = 20
    max_per_hour: int = 200
    reopen: frozenset[str] = frozenset()
    pull_requests: bool = True
    labels: tuple[str, ...] = ()
    can_label: bool = True


class Step(Value, frozen=True, kw_only=True):
    """What to do with one branch: push the wanted files (`push`), delete it (`delete`), change its pull request, or
    tell that somebody else has committed to it (`tell`). `head` is the commit that is there."""

    action: Action
    branch: str
    why: str
    wanted: Wanted | None = None
    pull: Pull | None = None
    push: bool = False
    delete: bool = False
    tell: bool = False
    head: str = ""


def find_uncovered(moved: Collection[Moved], branch_of: Callable[[Moved], str], state: State) -> list[Moved]:
    """The releases that the open pull request of their branch does not propose yet."""
    proposed = {branch: (read_marker(pull.body) or Marker()).identities for branch, pull in state.open.items()}
    return [one for one in moved if one.identity not in proposed.get(branch_of(one), ())]


def find_declined(moved: Collection[Moved], state: State, reopen: Collection[str]) -> dict[str, int]:
    """Identity → the number of the pull request in which somebody declined it. `moved` are in no open pull request.

    The newest pull request that has proposed it decides, whatever its branch. One that m2g closed itself, or that has
    lost its marker, declines nothing.
    """
    declined: dict[str, int] = {}
    for one in moved:
        if not reopen or not {one.slug, one.model} & set(reopen):
            number = _find_decline(one.identity, state)
            if number:
                declined[one.identity] = number
    return declined


def _find_decline(identity: str, state: State) -> int:
    for pull in state.closed:
        marker = read_marker(pull.body)
        if marker is not None and identity in marker.identities:
            return pull.number if pull.state is PullState.CLOSED and not marker.closed else 0
    return 0


def make_plan(
    wanted: Collection[Wanted],
    state: State,
    rules: Rules,
    *,
    is_certain: Callable[[str], bool] = lambda branch: True,
    reasons: Mapping[str, str] | None = None,
) -> tuple[Step, ...]:
    """A step for each wanted proposal and for each branch and pull request of m2g's that nobody wants any more.

    `is_certain` tells whether it is known that there is nothing to propose on a branch: a registry that did not answer
    closes nothing. `reasons` say why nothing is wanted on a branch, if it is not that the difference is gone.
    """
    rest = sorted({*state.heads, *state.open} - {one.branch for one in wanted})
    return (
        *_plan_wanted(wanted, state, rules),
        *(_plan_unwanted(one, state, (reasons or {}).get(one, ""), certain=is_certain(one)) for one in rest),
    )


def _plan_wanted(wanted: Collection[Wanted], state: State, rules: Rules) -> Iterator[Step]:
    count, new, recent = len(state.open), 0, state.count_new()
    for one in wanted:
        step = _plan_one(one, state, rules)
        if step.action is Action.CREATE:
            if count >= rules.max_open:
                step = _wait(one, f"{count} pull requests are open, and maxOpen in m2g.yaml is {rules.max_open}")
            elif new >= rules.max_per_run:
                step = _wait(one, f"this run opens {rules.max_per_run} (maxPerRun in m2g.yaml); the next one goes on")
            elif rules.pull_requests and recent + new >= rules.max_per_hour:
                step = _wait(one, f"{recent + new} were opened within an hour, and maxPerHour is {rules.max_per_hour}")
            else:
                count, new = count + 1, new + 1
        yield step


def _wait(wanted: Wanted, why: str) -> Step:
    return Step(action=Action.WAIT, branch=wanted.branch, why=why, wanted=wanted)


def _plan_one(wanted: Wanted, state: State, rules: Rules) -> Step:
    branch = wanted.branch
    head, pull = state.heads.get(branch), state.open.get(branch)
    if head is not None and not head.own:
        return _leave_foreign(wanted, head, pull)
    if wanted.blocked:
        return Step(action=Action.WAIT, branch=branch, why=wanted.blocked, wanted=wanted, pull=pull)
    if wanted.is_upgrade and pull is None and "upgrade" not in rules.reopen:
        number = _find_decline(list_identities(wanted)[0], state)
        if number:
            why = f"declined in #{number}; to propose it again: m2g sync --reopen upgrade"
            return Step(action=Action.LEAVE, branch=branch, why=why, wanted=wanted)
    push = head is None or not head.fresh
    if not rules.pull_requests:
        action = Action.CREATE if head is None else Action.UPDATE if push else Action.LEAVE
        why = "new" if head is None else "the branch is out of date" if push else "the branch is up to date"
        return Step(action=action, branch=branch, why=why, wanted=wanted, push=push)
    if pull is None:
        why = _explain_new(wanted, state) if push else "its branch is there, its pull request is not"
        return Step(action=Action.CREATE, branch=branch, why=why, wanted=wanted, push=push)
    marker = read_marker(pull.body) or Marker()
    gone = set(marker.identities) - set(list_identities(wanted))
    if gone:
        why = f"supersedes {', '.join(sorted(_name_version(one) for one in gone))}"
        return Step(action=Action.UPDATE, branch=branch, why=why, wanted=wanted, pull=pull, push=push)
    if push:
        why = f"its files are not what m2g writes on top of {pull.base} now"
        return Step(action=Action.UPDATE, branch=branch, why=why, wanted=wanted, pull=pull, push=True)
    labels = list_labels(wanted, rules.labels, "") if rules.can_label else ()
    if marker.closed or marker.files != digest_files(wanted) or not set(labels) <= set(pull.labels):
        why = "its description or its labels are not those of its files"
        return Step(action=Action.UPDATE, branch=branch, why=why, wanted=wanted, pull=pull)
    if marker.merge == "wanted":
        why = "the forge was not asked yet to merge it by itself"
        return Step(action=Action.UPDATE, branch=branch, why=why, wanted=wanted, pull=pull)
    return Step(action=Action.LEAVE, branch=branch, why="up to date", wanted=wanted, pull=pull)


def _explain_new(wanted: Wanted, state: State) -> str:
    before = next((pull for pull in state.closed if pull.branch == wanted.branch), None)
    return "new" if before is None else f"new; #{before.number} was {before.state}"


def _name_version(identity: str) -> str:
    parts = identity.split("|")
    return "other files" if parts[0] == "upgrade" or len(parts) < 3 else f"version {parts[2] or 'removed'}"


def _leave_foreign(wanted: Wanted | None, head: Head, pull: Pull | None, branch: str = "") -> Step:
    marker = read_marker(pull.body) if pull is not None else None
    return Step(
        action=Action.LEAVE,
        branch=wanted.branch if wanted is not None else branch,
        why="the branch has a commit that is not m2g's; merge or close its pull request, then delete the branch",
        wanted=wanted,
        pull=pull,
        tell=pull is not None and (marker is None or marker.edited != head.oid),
        head=head.oid,
    )


def _plan_unwanted(branch: str, state: State, reason: str, *, certain: bool) -> Step:
    head, pull = state.heads.get(branch), state.open.get(branch)
    if head is not None and not head.own:
        return _leave_foreign(None, head, pull, branch)
    if not certain:
        why = "this run does not know whether there is something to propose"
        return Step(action=Action.LEAVE, branch=branch, why=why, pull=pull)
    why = reason or "there is nothing left to change: the branch to change already says this"
    return Step(action=Action.CLOSE, branch=branch, why=why, pull=pull, delete=head is not None)


def explain_declined(one: Moved, number: int) -> str:
    """Why a release is not proposed."""
    return f"{describe_move(one)} was declined in #{number}; to propose it again: m2g sync --reopen {one.slug}"
