"""GitHub and GitHub Enterprise, by their documented REST API."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote, urlsplit

import msgspec

from m2g.core.http import httpx
from m2g.forge import Capabilities, Draft, Pull, PullState
from m2g.forge.client import Ask, ForgeClient, Refused, Unclear
from m2g.forge.plain import link_new

_SIZE = 100
_PACE = 1.0
"""Seconds between two requests that create something: GitHub asks for it, and refuses about 80 in a minute."""


class _Repository(msgspec.Struct):
    full_name: str


class _Ref(msgspec.Struct):
    ref: str
    sha: str
    repo: _Repository | None = None


class _Label(msgspec.Struct):
    name: str = ""


class _Pull(msgspec.Struct):
    number: int
    html_url: str
    state: str
    head: _Ref
    base: _Ref
    title: str = ""
    body: str | None = None
    merged_at: str | None = None
    labels: list[_Label] = []

    @property
    def is_own(self) -> bool:
        """Whether its branch is one of the repository itself. A branch of a fork may have any name."""
        here, there = self.head.repo, self.base.repo
        return here is not None and there is not None and here.full_name == there.full_name

    def to_value(self) -> Pull:
        return Pull(
            number=self.number,
            url=self.html_url,
            branch=self.head.ref,
            base=self.base.ref,
            state=PullState.MERGED if self.merged_at else PullState(self.state),
            title=self.title,
            body=self.body or "",
            labels=tuple(label.name for label in self.labels),
            head=self.head.sha,
        )


class _Comment(msgspec.Struct):
    body: str | None = None


def find_api(server: str) -> str:
    """The address of the API of a server."""
    host = urlsplit(server).netloc
    if host in ("github.com", "www.github.com"):
        return "https://api.github.com"
    return f"https://api.{host}" if host.endswith(".ghe.com") else f"{server}/api/v3"


class GitHub:
    """Implements `m2g.forge.Forge`. `page` is the repository's page, `path` is `owner/name`."""

    def __init__(self, api: str, page: str, path: str, token: str, *, pace: float = _PACE) -> None:
        headers = {
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
            "Authorization": f"Bearer {token}",
        }
        self._page = page
        self._owner = path.partition("/")[0]
        self._repository = f"/repos/{quote(path)}"
        self._client = ForgeClient(api, headers, pace=pace, explain=_explain)

    @property
    def capabilities(self) -> Capabilities:
        """See `Forge.capabilities`."""
        return Capabilities(name="GitHub")

    def list_open(self, prefix: str) -> list[Pull]:
        """See `Forge.list_open`."""
        ask = Ask(path=f"{self._repository}/pulls", query={"state": "open", "per_page": _SIZE})
        pulls = self._client.pages(ask, _Pull, _SIZE)
        found = (pull.to_value() for pull in pulls if pull.is_own and pull.head.ref.startswith(prefix))
        return sorted(found, key=lambda pull: pull.number)

    def list_closed(self, branch: str) -> list[Pull]:
        """See `Forge.list_closed`."""
        return sorted(self._search(branch, "closed"), key=lambda pull: -pull.number)

    def _search(self, branch: str, state: str) -> list[Pull]:
        head = f"{self._owner}:{branch}"
        ask = Ask(path=f"{self._repository}/pulls", query={"state": state, "head": head, "per_page": _SIZE})
        pulls = self._client.ask(ask, list[_Pull])
        return [pull.to_value() for pull in pulls if pull.is_own and pull.head.ref == branch]

    def open(self, draft: Draft) -> Pull:
        """See `Forge.open`. GitHub sets labels, reviewers and assignees by requests of their own."""
        body = {"title": draft.title, "head": draft.branch, "base": draft.base, "body": draft.body}
        if draft.draft:
            body["draft"] = True  # type: ignore[assignment]  # the one field that is no text
        ask = Ask(method="POST", path=f"{self._repository}/pulls", body=body, repeat=False)
        try:
            pull = self._client.ask(ask, _Pull).to_value()
        except (Refused, Unclear) as error:
            there = self._search(draft.branch, "open")
            if not there or (isinstance(error, Refused) and error.status != 422):
                raise
            pull = there[0]
        self.label(pull, draft.labels)
        if draft.assignees:
            self._post(f"/issues/{pull.number}/assignees", {"assignees": list(draft.assignees)})
        if draft.reviewers:
            self._post(f"/pulls/{pull.number}/requested_reviewers", {"reviewers": list(draft.reviewers)})
        return pull

    def update(self, pull: Pull, *, title: str, body: str) -> None:
        """See `Forge.update`."""
        self._edit(pull, {"title": title, "body": body})

    def close(self, pull: Pull) -> None:
        """See `Forge.close`."""
        self._edit(pull, {"state": "closed"})

    def comment(self, pull: Pull, text: str, marker: str) -> None:
        """See `Forge.comment`."""
        path = f"{self._repository}/issues/{pull.number}/comments"
        there = self._client.pages(Ask(path=path, query={"per_page": _SIZE}), _Comment, _SIZE)
        if not any(marker in (one.body or "") for one in there):
            body = {"body": f"{marker}\n{text}"}
            self._client.run(Ask(method="POST", path=path, body=body, repeat=False))

    def label(self, pull: Pull, labels: Sequence[str]) -> None:
        """See `Forge.label`. GitHub makes labels that do not exist."""
        missing = [name for name in labels if name not in pull.labels]
        if missing:
            self._post(f"/issues/{pull.number}/labels", {"labels": missing})

    def describe_new(self, branch: str, base: str) -> str:
        """See `Forge.describe_new`."""
        return link_new(self._page, "github", branch, base)

    def _edit(self, pull: Pull, change: object) -> None:
        self._client.run(Ask(method="PATCH", path=f"{self._repository}/pulls/{pull.number}", body=change))

    def _post(self, path: str, body: object) -> None:
        """Add to a set: twice is the same as once."""
        self._client.run(Ask(method="POST", path=f"{self._repository}{path}", body=body))


def _explain(response: httpx.Response) -> str:
    if response.status_code not in (403, 404):
        return ""
    needed = response.headers.get("x-accepted-github-permissions", "")
    if needed:
        return f"give the token in M2G_TOKEN the permission {needed.replace('=', ': ')[:100]}"
    return "give the token in M2G_TOKEN the permissions contents: write and pull requests: write on this repository"
