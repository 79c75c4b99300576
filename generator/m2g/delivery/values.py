"""The values of `m2g sync`: what a proposal contains, and what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from m2g.core.finding import Finding
from m2g.core.model import Value
from m2g.core.results import ChangeKind, Failure
from m2g.repository.layout import Key

EDITED = "m2g:edited"
"""The label of a pull request whose branch has a commit of somebody else."""


class Moved(Value, frozen=True, kw_only=True):
    """A release that changes."""

    kind: ChangeKind
    """`added`, `changed` or `removed`."""
    slug: str
    """The folder of the model."""
    model: str
    """The registered model."""
    environment: str
    """The environment."""
    before: str = ""
    """The version until now; empty if it is new."""
    after: str = ""
    """The version that is proposed; empty if it is removed."""
    image: str = ""
    """Its image with the digest; empty for none."""
    run: str = ""
    """The run that made it."""

    @property
    def key(self) -> Key:
        """Where its record is."""
        return self.slug, self.environment

    @property
    def identity(self) -> str:
        """What a person who closes its pull request declines. Metrics, settings and an upgrade of m2g are no part."""
        return "|".join((self.slug, self.environment, self.after, self.image.rpartition("@")[2]))


class Wanted(Value, frozen=True, kw_only=True):
    """A proposal that should exist: the files that its branch changes, and why it may not be opened now.

    `moved` is empty for the upgrade: the files that this m2g writes in another way, with the same versions.
    """

    branch: str
    moved: tuple[Moved, ...]
    files: Mapping[str, bytes]
    removals: frozenset[str]
    blocked: str = ""

    @property
    def is_upgrade(self) -> bool:
        """Whether it only writes files anew."""
        return not self.moved

    @property
    def identities(self) -> tuple[str, ...]:
        """What a person who closes it declines."""
        return tuple(sorted(one.identity for one in self.moved))


class Head(Value, frozen=True, kw_only=True):
    """A branch of m2g's on the remote. `own` tells that its one commit is m2g's; `fresh` that it has exactly the wanted
    changes and can be merged as it is."""

    oid: str
    own: bool
    fresh: bool = False


class Action(StrEnum):
    """What m2g does with a proposal."""

    COMMIT = "commit"
    """Commit it to the branch itself."""
    CREATE = "create"
    UPDATE = "update"
    CLOSE = "close"
    LEAVE = "leave"
    WAIT = "wait"


class Proposal(Value, frozen=True, kw_only=True, omit_defaults=False):
    """One proposal in the result of `m2g sync`: the action, and why."""

    action: Action
    """`commit` (to the branch itself), `create`, `update`, `close`, `leave` as it is, or `wait`."""
    branch: str
    """The branch of the proposal."""
    title: str
    """Its title."""
    why: str
    """Why this action."""
    number: int = 0
    """The number of the pull request; 0 if there is none."""
    url: str = ""
    """The page of the pull request, or where a person opens one."""
    models: tuple[Moved, ...] = ()
    """The releases that it changes."""


class SyncResult(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The result of `m2g sync`."""

    branch: str
    """The branch that the proposals want to change."""
    base: str
    """Its commit."""
    dry_run: bool
    """Whether nothing was done."""
    proposals: tuple[Proposal, ...] = ()
    """What becomes of each proposal."""
    findings: tuple[Finding, ...] = ()
    """What was left out or is wrong."""
    problems: tuple[Failure, ...] = ()
    """What the forge or the remote refused. The other proposals were carried out."""
