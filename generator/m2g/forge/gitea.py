"""Gitea and Forgejo, by their documented REST API (/api/v1)."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from urllib.parse import quote

import msgspec

from m2g.core.http import httpx
from m2g.forge import Capabilities, Draft, Pull, PullState
from m2g.forge.client import Ask, ForgeClient, Refused, Unclear
from m2g.forge.plain import link_new

_SIZE = 50
_ATTEMPTS = 8
_COLOR = "#1d76db"
_SCOPE = re.compile(r"required=\[([a-z:, ]+)\]")


class _Ref(msgspec.Struct):
    """`label` stays the name of the branch after somebody deleted it; `ref` does not."""

    label: str = ""
    ref: str = ""
    sha: str = ""
    repo_id: int = 0


class _Label(msgspec.Struct):
    id: int
    name: str


class _Pull(msgspec.Struct):
    number: int
    html_url: str
    state: str
    head: _Ref
    base: _Ref
    title: str = ""
    body: str | None = ""
    merged: bool = False
    labels: list[_Label] | None = None
    created_at: str = ""

    def to_value(self, age: float = float("inf")) -> Pull:
        state = PullState.MERGED if self.merged else PullState(self.state)
        return Pull(
            number=self.number,
            url=self.html_url,
            branch=self.head.label,
            base=self.base.ref,
            state=state,
            title=self.title,
            body=self.body or "",
            labels=tuple(label.name for label in self.labels or ()),
            head=self.head.sha,
            age=age,
        )


class _Repository(msgspec.Struct):
    default_merge_style: str = ""


class _Comment(msgspec.Struct):
    body: str | None = ""


class Gitea:
    """Implements `m2g.forge.Forge`. `page` is the repository's page, `api` the address of the API."""

    def __init__(self, api: str, page: str, path: str, token: str) -> None:
        self._page = page
        self._repository = f"/repos/{quote(path)}"
        self._client = ForgeClient(api, {"Authorization": f"token {token}"}, explain=_explain)
        self._labels: dict[str, int] | None = None
        self._style = ""

    @property
    def capabilities(self) -> Capabilities:
        """See `Forge.capabilities`. A draft is a title that begins with `WIP:`."""
        return Capabilities(name="Gitea")

    def list_open(self, prefix: str) -> list[Pull]:
        """See `Forge.list_open`."""
        found = (self._show(pull) for pull in self._list("open") if pull.head.label.startswith(prefix))
        return sorted(found, key=lambda pull: pull.number)

    def list_closed(self, prefix: str, branches: Sequence[str]) -> list[Pull]:
        """See `Forge.list_closed`: among the 1,000 that changed last, because Gitea cannot search by branch."""
        found = (self._show(pull) for pull in self._list("closed") if pull.head.label.startswith(prefix))
        return sorted(found, key=lambda pull: -pull.number)

    def read(self, pull: Pull) -> Pull:
        """See `Forge.read`."""
        return self._show(self._client.ask(Ask(path=f"{self._repository}/pulls/{pull.number}"), _Pull))

    def _show(self, pull: _Pull) -> Pull:
        return pull.to_value(self._client.find_age(pull.created_at))

    def open(self, draft: Draft) -> Pull:
        """See `Forge.open`."""
        body = {
            "head": draft.branch,
            "base": draft.base,
            "title": f"WIP: {draft.title}" if draft.draft else draft.title,
            "body": draft.body,
            "labels": self._find_labels(draft.labels),
            "assignees": list(draft.assignees),
            "reviewers": list(draft.reviewers),
        }
        ask = Ask(method="POST", path=f"{self._repository}/pulls", body=body, repeat=False)
        try:
            return self._show(self._client.ask(ask, _Pull))
        except (Refused, Unclear) as error:
            there = [pull for pull in self.list_open(draft.branch) if pull.branch == draft.branch]
            if there and (isinstance(error, Unclear) or error.status == 409):
                return there[0]
            raise

    def update(self, pull: Pull, *, title: str, body: str) -> None:
        """See `Forge.update`."""
        self._edit(pull, {"title": title, "body": body})

    def close(self, pull: Pull) -> None:
        """See `Forge.close`."""
        self._edit(pull, {"state": "closed"})

    def comment(self, pull: Pull, text: str, marker: str) -> None:
        """See `Forge.comment`."""
        path = f"{self._repository}/issues/{pull.number}/comments"
        there = self._client.ask(Ask(path=path), list[_Comment])
        if not any(marker in (one.body or "") for one in there):
            self._client.run(Ask(method="POST", path=path, body={"body": f"{marker}\n{text}"}, repeat=False))

    def label(self, pull: Pull, labels: Sequence[str]) -> None:
        """See `Forge.label`."""
        missing = [name for name in labels if name not in pull.labels]
        if missing:
            path = f"{self._repository}/issues/{pull.number}/labels"
            self._client.run(Ask(method="POST", path=path, body={"labels": self._find_labels(missing)}))

    def merge_when_allowed(self, pull: Pull, head: str) -> None:
        """See `Forge.merge_when_allowed`. Gitea needs a moment to see whether a new pull request can be merged."""
        if not self._style:
            self._style = self._client.ask(Ask(path=self._repository), _Repository).default_merge_style or "merge"
        body = {"Do": self._style, "head_commit_id": head, "merge_when_checks_succeed": True}
        ask = Ask(method="POST", path=f"{self._repository}/pulls/{pull.number}/merge", body=body)
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._client.run(ask)
            except Refused as error:
                if error.status == 409 and "scheduled" in error.message:
                    return None
                if attempt == _ATTEMPTS or error.status != 405 or "try again later" not in error.message:
                    raise
                time.sleep(0.3 * attempt)
        return None

    def stop_merge(self, pull: Pull) -> None:
        """See `Forge.stop_merge`."""
        try:
            self._client.run(Ask(method="DELETE", path=f"{self._repository}/pulls/{pull.number}/merge"))
        except Refused as error:
            if error.status != 404:
                raise

    def list_push_options(self, title: str, base: str, labels: Sequence[str]) -> tuple[str, ...]:
        """None: the API does it."""
        return ()

    def describe_new(self, branch: str, base: str) -> str:
        """See `Forge.describe_new`."""
        return link_new(self._page, "gitea", branch, base)

    def _list(self, state: str) -> Iterator[_Pull]:
        """Those of this repository itself. Others come from forks, whose branches may have any name."""
        path = f"{self._repository}/pulls"
        ask = Ask(path=path, query={"state": state, "sort": "recentupdate", "limit": _SIZE})
        for pull in self._client.pages(ask, _Pull, _SIZE):
            if pull.head.repo_id == pull.base.repo_id:
                yield pull

    def _edit(self, pull: Pull, change: object) -> None:
        """Gitea refuses an edit that meets another one (409). All runs of m2g write the same, so the later one wins."""
        ask = Ask(method="PATCH", path=f"{self._repository}/pulls/{pull.number}", body=change)
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._client.run(ask)
            except Refused as error:
                if attempt == _ATTEMPTS or error.status != 409:
                    raise
                time.sleep(0.3 * attempt)
        return None

    def _find_labels(self, names: Sequence[str]) -> list[int]:
        """The ids of labels; those that do not exist are made."""
        if self._labels is None:
            listed = self._client.pages(Ask(path=f"{self._repository}/labels", query={"limit": _SIZE}), _Label, _SIZE)
            self._labels = {label.name: label.id for label in listed}
        for name in names:
            if name not in self._labels:
                body = {"name": name, "color": _COLOR}
                ask = Ask(method="POST", path=f"{self._repository}/labels", body=body, repeat=False)
                self._labels[name] = self._client.ask(ask, _Label).id
        return [self._labels[name] for name in names]


def _explain(response: httpx.Response) -> str:
    scope = _SCOPE.search(response.text[:1000])
    if scope:
        return f"the token in M2G_TOKEN lacks the scope {scope[1]}; m2g needs write:repository and write:issue"
    if response.status_code in (403, 404):
        return (
            "give the token in M2G_TOKEN the scopes write:repository and write:issue, and its user the right to write"
        )
    return ""
