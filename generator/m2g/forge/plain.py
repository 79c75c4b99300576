"""Git without the API of a forge: branches are pushed, and a person opens the pull request."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from m2g.core.errors import InputError
from m2g.forge import Capabilities, Draft, Pull


class PlainGit:
    """Implements `m2g.forge.Forge` without pull requests. `page` is the repository's page, if it is on the web."""

    def __init__(self, page: str = "", kind: str = "") -> None:
        self._page = page.removesuffix(".git")
        self._kind = kind

    @property
    def capabilities(self) -> Capabilities:
        """See `Forge.capabilities`."""
        return Capabilities(name="plain Git", pull_requests=False, labels=False, drafts=False, merges=False)

    def list_open(self, prefix: str) -> list[Pull]:
        """None: nobody is asked."""
        return []

    def list_closed(self, prefix: str, branches: Sequence[str]) -> list[Pull]:
        """None: nobody is asked."""
        return []

    def read(self, pull: Pull) -> Pull:
        """Nobody is asked."""
        return pull

    def open(self, draft: Draft) -> Pull:
        """Raises InputError."""
        raise InputError("plain Git has no pull requests", hint="set M2G_TOKEN to a token of the forge")

    def update(self, pull: Pull, *, title: str, body: str) -> None:
        """Nothing to do."""

    def close(self, pull: Pull) -> None:
        """Nothing to do."""

    def comment(self, pull: Pull, text: str, marker: str) -> None:
        """Nothing to do."""

    def label(self, pull: Pull, labels: Sequence[str]) -> None:
        """Nothing to do."""

    def merge_when_allowed(self, pull: Pull, head: str) -> None:
        """Nothing to do."""

    def stop_merge(self, pull: Pull) -> None:
        """Nothing to do."""

    def list_push_options(self, title: str, base: str, labels: Sequence[str]) -> tuple[str, ...]:
        """Those of GitLab, which opens a merge request for a branch without one, or changes the one that is there."""
        if self._kind != "gitlab":
            return ()
        options = ("create", f"target={base}", f"title={title}", "remove_source_branch")
        more = (f"label={label}" for label in labels)
        return tuple(f"merge_request.{option}" for option in (*options, *more))

    def describe_new(self, branch: str, base: str) -> str:
        """See `Forge.describe_new`; empty for a repository that has no page."""
        return link_new(self._page, self._kind, branch, base)


def link_new(page: str, kind: str, branch: str, base: str) -> str:
    """The page on which a person opens a pull request."""
    if not page:
        return ""
    here, there = quote(branch, safe=""), quote(base, safe="")
    if kind == "gitlab":
        query = f"merge_request%5Bsource_branch%5D={here}&merge_request%5Btarget_branch%5D={there}"
        return f"{page}/-/merge_requests/new?{query}"
    return f"{page}/compare/{quote(base)}...{quote(branch)}"
