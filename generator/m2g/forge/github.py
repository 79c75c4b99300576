"""GitHub and GitHub Enterprise, by their documented REST API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlsplit

import msgspec

from m2g.core.http import httpx
from m2g.core.sanitize import to_one_line
from m2g.forge import Capabilities, Draft, Pull, PullState
from m2g.forge.client import Ask, ForgeClient, Query, Refused, Unclear
from m2g.forge.plain import link_new

_SIZE = 100
_PACE = 1.0
"""Seconds between two requests that create something: GitHub asks for it, and refuses about 80 in a minute."""


_ENABLE = (
    "mutation($id: ID!, $head: GitObjectID!, $method: PullRequestMergeMethod!) { enablePullRequestAutoMerge(input: "
    "{pullRequestId: $id, expectedHeadOid: $head, mergeMethod: $method}) { clientMutationId } }"
)
_DISABLE = "mutation($id: ID!) { disablePullRequestAutoMerge(input: {pullRequestId: $id}) { clientMutationId } }"
_MERGING = (
    "in the repository's settings, allow auto-merge and protect the branch with a required check: GitHub merges by "
    "itself only what waits for something"
)


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
    node_id: str = ""
    created_at: str = ""

    @property
    def is_own(self) -> bool:
        """Whether its branch is one of the repository itself. A branch of a fork may have any name."""
        here, there = self.head.repo, self.base.repo
        return here is not None and there is not None and here.full_name == there.full_name

    def to_value(self, age: float) -> Pull:
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
            id=self.node_id,
            age=age,
        )


class _Allowed(msgspec.Struct):
    allow_merge_commit: bool = True
    allow_squash_merge: bool = True


class _Error(msgspec.Struct):
    message: str = ""


class _Answer(msgspec.Struct):
    errors: list[_Error] | None = None


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
        self._graphql = ForgeClient(api.removesuffix("/v3"), headers, explain=_explain)
        self._method = ""

    @property
    def capabilities(self) -> Capabilities:
        """See `Forge.capabilities`."""
        return Capabilities(name="GitHub")

    def list_open(self, prefix: str) -> list[Pull]:
        """See `Forge.list_open`."""
        ask = Ask(path=f"{self._repository}/pulls", query={"state": "open", "per_page": _SIZE})
        pulls = self._client.pages(ask, _Pull, _SIZE)
        found = (self._show(pull) for pull in pulls if pull.is_own and pull.head.ref.startswith(prefix))
        return sorted(found, key=lambda pull: pull.number)

    def list_closed(self, prefix: str, branches: Sequence[str]) -> list[Pull]:
        """See `Forge.list_closed`. In a small repository, one page has all."""
        query: Query = {"state": "closed", "sort": "updated", "direction": "desc", "per_page": _SIZE}
        listed = self._client.ask(Ask(path=f"{self._repository}/pulls", query=query), list[_Pull])
        found = [self._show(pull) for pull in listed if pull.is_own and pull.head.ref.startswith(prefix)]
        if len(listed) == _SIZE:
            found += [pull for branch in branches for pull in self._search(branch, "closed")]
        return sorted({pull.number: pull for pull in found}.values(), key=lambda pull: -pull.number)

    def read(self, pull: Pull) -> Pull:
        """See `Forge.read`."""
        return self._show(self._client.ask(Ask(path=f"{self._repository}/pulls/{pull.number}"), _Pull))

    def _show(self, pull: _Pull) -> Pull:
        return pull.to_value(self._client.find_age(pull.created_at))

    def _search(self, branch: str, state: str) -> list[Pull]:
        head = f"{self._owner}:{branch}"
        ask = Ask(path=f"{self._repository}/pulls", query={"state": state, "head": head, "per_page": _SIZE})
        pulls = self._client.ask(ask, list[_Pull])
        return [self._show(pull) for pull in pulls if pull.is_own and pull.head.ref == branch]

    def open(self, draft: Draft) -> Pull:
        """See `Forge.open`. GitHub sets labels, reviewers and assignees by requests of their own.

        The labels come last: one that lacks them is not complete, and the next run knows.
        """
        body = {"title": draft.title, "head": draft.branch, "base": draft.base, "body": draft.body}
        if draft.draft:
            body["draft"] = True  # type: ignore[assignment]  # the one field that is no text
        ask = Ask(method="POST", path=f"{self._repository}/pulls", body=body, repeat=False)
        try:
            pull = self._show(self._client.ask(ask, _Pull))
        except (Refused, Unclear) as error:
            there = self._search(draft.branch, "open")
            if not there or (isinstance(error, Refused) and error.status != 422):
                raise
            pull = there[0]
        if draft.assignees:
            self._post(f"/issues/{pull.number}/assignees", {"assignees": list(draft.assignees)})
        if draft.reviewers:
            self._post(f"/pulls/{pull.number}/requested_reviewers", {"reviewers": list(draft.reviewers)})
        self.label(pull, draft.labels)
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

    def merge_when_allowed(self, pull: Pull, head: str) -> None:
        """See `Forge.merge_when_allowed`: only GraphQL can do it, by a method that the repository allows."""
        if not self._method:
            allowed = self._client.ask(Ask(path=self._repository), _Allowed)
            methods = {"MERGE": allowed.allow_merge_commit, "SQUASH": allowed.allow_squash_merge, "REBASE": True}
            self._method = next(name for name, is_allowed in methods.items() if is_allowed)
        self._mutate(_ENABLE, {"id": pull.id, "head": head, "method": self._method})

    def stop_merge(self, pull: Pull) -> None:
        """See `Forge.stop_merge`."""
        self._mutate(_DISABLE, {"id": pull.id})

    def _mutate(self, query: str, variables: Mapping[str, str]) -> None:
        ask = Ask(method="POST", path="/graphql", body={"query": query, "variables": variables})
        answer = self._graphql.ask(ask, _Answer)
        said = to_one_line("; ".join(error.message for error in answer.errors or ()))
        if said and "not enabled" not in said and "not in the correct state to disable" not in said:
            raise Refused(f"{self._page}: {said}", status=422, hint=_MERGING)

    def list_push_options(self, title: str, base: str, labels: Sequence[str]) -> tuple[str, ...]:
        """None: the API does it."""
        return ()

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
