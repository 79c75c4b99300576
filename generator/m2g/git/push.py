"""Push with the expected old commit of each branch, so that nothing of anybody else is overwritten."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from m2g.core.errors import OutsideError
from m2g.core.model import Value
from m2g.git.program import run_remote
from m2g.git.remote import Remote, explain_failure

_MOVED = re.compile(
    r"stale info|non-fast-forward|fetch first|cannot lock ref|failed to update ref|incorrect old value|"
    r"reference already exists|failed to lock|remote ref updated|needs force|atomic"
)
"""What servers say when somebody else was faster. Anything else is refused for good."""
_PER_CALL = 200


class BranchUpdate(Value, frozen=True, kw_only=True):
    """Move a branch from `old` to `new`. An empty `old` creates it, an empty `new` deletes it.

    `options` are push options for the server, one line each.
    """

    branch: str
    old: str
    new: str
    options: tuple[str, ...] = ()


class Outcome(StrEnum):
    """What became of one update."""

    DONE = "done"
    MOVED = "moved"
    """Somebody else was faster: fetch and start again."""
    REFUSED = "refused"


class Pushed(Value, frozen=True, kw_only=True):
    """The outcome of one update, and what the server said if it was refused."""

    branch: str
    outcome: Outcome
    reason: str = ""


def push(folder: Path, remote: Remote, updates: Sequence[BranchUpdate]) -> dict[str, Pushed]:
    """Push each update on its own; those of one call do not depend on each other.

    Raises OutsideError if the remote does not answer or denies access.
    """
    results: dict[str, Pushed] = {}
    plain = [one for one in updates if not one.options]
    for start in range(0, len(plain), _PER_CALL):
        results |= _push(folder, remote, plain[start : start + _PER_CALL])
    for one in updates:
        if one.options:  # they are about all branches of a call
            results |= _push(folder, remote, [one])
    return results


def _push(folder: Path, remote: Remote, updates: Sequence[BranchUpdate]) -> dict[str, Pushed]:
    leases = [f"--force-with-lease=refs/heads/{one.branch}:{one.old}" for one in updates]
    refs = [f"{one.new}:refs/heads/{one.branch}" for one in updates]
    options = [f"--push-option={option}" for one in updates for option in one.options]
    arguments = ("push", "--porcelain", "--no-verify", *options, *leases, "--", remote.url, *refs)
    ran = run_remote(folder, *arguments, credentials=remote.credentials)
    results = dict(filter(None, map(_parse, ran.stdout.decode(errors="replace").splitlines())))
    if not results and ran.code != 0:
        if _MOVED.search(ran.stderr):
            return {one.branch: Pushed(branch=one.branch, outcome=Outcome.MOVED) for one in updates}
        raise explain_failure(remote, ran.stderr, "cannot be pushed to")
    lost = [one.branch for one in updates if one.branch not in results]
    if lost and ran.code != 0:
        raise OutsideError(f"{remote.shown} did not answer for {lost[0]}: {remote.hide(ran.stderr)[:300]}")
    hidden = {name: (one, remote.hide(_explain(ran.stderr))) for name, one in results.items()}
    return {
        name: one
        if one.outcome is not Outcome.REFUSED
        else Pushed(branch=name, outcome=one.outcome, reason=f"{one.reason}{f': {said}' if said else ''}")
        for name, (one, said) in hidden.items()
    }


def _explain(stderr: str) -> str:
    """What the server's own rules say, in one line."""
    said = [line.removeprefix("remote:").strip() for line in stderr.splitlines() if line.startswith("remote:")]
    return " ".join(filter(None, said))[:300]


def _parse(line: str) -> tuple[str, Pushed] | None:
    """One line of `git push --porcelain`: flag, source:target, summary."""
    flag, _, rest = line.partition("\t")
    names, _, summary = rest.partition("\t")
    if len(flag) != 1 or ":refs/heads/" not in names:
        return None
    branch = names.partition(":refs/heads/")[2]
    if flag != "!":
        return branch, Pushed(branch=branch, outcome=Outcome.DONE)
    reason = summary.partition("(")[2].rstrip(")") or summary
    outcome = Outcome.MOVED if _MOVED.search(summary) else Outcome.REFUSED
    return branch, Pushed(branch=branch, outcome=outcome, reason=reason)
