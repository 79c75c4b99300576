"""The forge that has the pull requests: one Protocol, one file for each service."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

from m2g.core.model import Value


class PullState(StrEnum):
    """The state of a pull request."""

    OPEN = "open"
    MERGED = "merged"
    CLOSED = "closed"
    """Closed without a merge."""


class Pull(Value, frozen=True, kw_only=True):
    """A pull request from a branch of the same repository. `head` is the commit that it proposes, if the forge says.

    `id` is the forge's other name of it, `age` the seconds since it was opened, by the forge's clock.
    """

    number: int
    url: str
    branch: str
    base: str
    state: PullState
    title: str = ""
    body: str = ""
    labels: tuple[str, ...] = ()
    head: str = ""
    id: str = ""
    age: float = float("inf")


class Draft(Value, frozen=True, kw_only=True):
    """A pull request to open."""

    branch: str
    base: str
    title: str
    body: str
    labels: tuple[str, ...] = ()
    reviewers: tuple[str, ...] = ()
    assignees: tuple[str, ...] = ()
    draft: bool = False


class Capabilities(Value, frozen=True, kw_only=True):
    """What a forge can do. `body` is how many characters a description may have. `merges` tells that it can merge a
    pull request by itself as soon as its rules allow it."""

    name: str
    pull_requests: bool = True
    labels: bool = True
    drafts: bool = True
    merges: bool = True
    body: int = 60_000
    title: int = 200


class Forge(Protocol):
    """One repository on a forge. Every call raises OutsideError if the forge fails, InputError if the token may not."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        ...

    def list_open(self, prefix: str) -> list[Pull]:
        """The open pull requests from branches of this repository that begin with `prefix`, the oldest first."""
        ...

    def list_closed(self, prefix: str, branches: Sequence[str]) -> list[Pull]:
        """Merged and closed pull requests from branches that begin with `prefix`, the newest first.

        Those of these branches are all there; of others, those that changed last.
        """
        ...

    def read(self, pull: Pull) -> Pull:
        """The pull request as it is now."""
        ...

    def open(self, draft: Draft) -> Pull:
        """Open a pull request. If the branch has an open one already, that one is the answer."""
        ...

    def update(self, pull: Pull, *, title: str, body: str) -> None:
        """Change title and body."""
        ...

    def close(self, pull: Pull) -> None:
        """Close without merging."""
        ...

    def comment(self, pull: Pull, text: str, marker: str) -> None:
        """Add a comment, unless there is one with this marker."""
        ...

    def label(self, pull: Pull, labels: Sequence[str]) -> None:
        """Add labels; those that the repository does not know are made."""
        ...

    def merge_when_allowed(self, pull: Pull, head: str) -> None:
        """Let the forge merge it as soon as its rules allow that, if its commit is `head`. Twice is like once."""
        ...

    def stop_merge(self, pull: Pull) -> None:
        """Take that back. If it was not asked for, nothing happens."""
        ...

    def list_push_options(self, title: str, base: str, labels: Sequence[str]) -> tuple[str, ...]:
        """The push options by which the server itself opens a pull request; none where the API does it."""
        ...

    def describe_new(self, branch: str, base: str) -> str:
        """Where a person opens a pull request for a branch."""
        ...
