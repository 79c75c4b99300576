"""GitLab, by its documented REST API (/api/v4)."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

import msgspec

from m2g.core.http import httpx
from m2g.forge import Capabilities, Draft, Pull, PullState
from m2g.forge.client import Ask, ForgeClient, Query, Refused, Unclear
from m2g.forge.plain import link_new

_SIZE = 100
_STATES = {"opened": PullState.OPEN, "merged": PullState.MERGED, "closed": PullState.CLOSED, "locked": PullState.OPEN}


_MERGING = "let the user of the token merge into this branch, and let a pipeline run for merge requests"


class _Request(msgspec.Struct):
    iid: int
    web_url: str
    state: str
    source_branch: str
    target_branch: str
    source_project_id: int | None
    target_project_id: int
    title: str = ""
    description: str | None = None
    labels: list[str] = []
    sha: str | None = None
    created_at: str = ""

    @property
    def is_own(self) -> bool:
        """Whether its branch is one of the project itself. A branch of a fork may have any name."""
        return self.source_project_id == self.target_project_id

    def to_value(self, age: float) -> Pull:
        return Pull(
            number=self.iid,
            url=self.web_url,
            branch=self.source_branch,
            base=self.target_branch,
            state=_STATES.get(self.state, PullState.CLOSED),
            title=self.title,
            body=self.description or "",
            labels=tuple(self.labels),
            head=self.sha or "",
            age=age,
        )


class _Note(msgspec.Struct):
    body: str = ""


class _User(msgspec.Struct):
    id: int
    username: str


class GitLab:
    """Implements `m2g.forge.Forge`. `page` is the project's page, `path` its full path."""

    def __init__(self, api: str, page: str, path: str, token: str) -> None:
        self._page = page
        self._project = f"/projects/{quote(path, safe='')}"
        self._client = ForgeClient(api, {"PRIVATE-TOKEN": token}, explain=_explain)

    @property
    def capabilities(self) -> Capabilities:
        """See `Forge.capabilities`. A draft is a title that begins with `Draft:`."""
        return Capabilities(name="GitLab", body=500_000)

    def list_open(self, prefix: str) -> list[Pull]:
        """See `Forge.list_open`."""
        ask = Ask(path=f"{self._project}/merge_requests", query={"state": "opened", "per_page": _SIZE})
        pulls = self._client.pages(ask, _Request, _SIZE)
        found = (self._show(pull) for pull in pulls if pull.is_own and pull.source_branch.startswith(prefix))
        return sorted(found, key=lambda pull: pull.number)

    def list_closed(self, prefix: str, branches: Sequence[str]) -> list[Pull]:
        """See `Forge.list_closed`. In a small project, one page has all."""
        query: Query = {"state": "all", "order_by": "updated_at", "sort": "desc", "per_page": _SIZE}
        listed = self._client.ask(Ask(path=f"{self._project}/merge_requests", query=query), list[_Request])
        found = [self._show(pull) for pull in listed if pull.is_own and pull.source_branch.startswith(prefix)]
        if len(listed) == _SIZE:
            found += [pull for branch in branches for pull in self._search(branch)]
        closed = {pull.number: pull for pull in found if pull.state is not PullState.OPEN}
        return sorted(closed.values(), key=lambda pull: -pull.number)

    def read(self, pull: Pull) -> Pull:
        """See `Forge.read`."""
        return self._show(self._client.ask(Ask(path=f"{self._project}/merge_requests/{pull.number}"), _Request))

    def _show(self, pull: _Request) -> Pull:
        return pull.to_value(self._client.find_age(pull.created_at))

    def _search(self, branch: str) -> list[Pull]:
        path = f"{self._project}/merge_requests"
        ask = Ask(path=path, query={"state": "all", "source_branch": branch, "per_page": _SIZE})
        pulls = self._client.ask(ask, list[_Request])
        return [self._show(pull) for pull in pulls if pull.is_own and pull.source_branch == branch]

    def open(self, draft: Draft) -> Pull:
        """See `Forge.open`."""
        body = {
            "source_branch": draft.branch,
            "target_branch": draft.base,
            "title": f"Draft: {draft.title}" if draft.draft else draft.title,
            "description": draft.body,
            "labels": ",".join(draft.labels),
            "assignee_ids": self._find_users(draft.assignees),
            "reviewer_ids": self._find_users(draft.reviewers),
            "remove_source_branch": True,
        }
        ask = Ask(method="POST", path=f"{self._project}/merge_requests", body=body, repeat=False)
        try:
            return self._show(self._client.ask(ask, _Request))
        except (Refused, Unclear) as error:
            there = [pull for pull in self._search(draft.branch) if pull.state is PullState.OPEN]
            if not there or (isinstance(error, Refused) and error.status != 409):
                raise
            return there[0]

    def update(self, pull: Pull, *, title: str, body: str) -> None:
        """See `Forge.update`."""
        self._edit(pull, {"title": title, "description": body})

    def close(self, pull: Pull) -> None:
        """See `Forge.close`."""
        self._edit(pull, {"state_event": "close"})

    def comment(self, pull: Pull, text: str, marker: str) -> None:
        """See `Forge.comment`."""
        path = f"{self._project}/merge_requests/{pull.number}/notes"
        there = self._client.pages(Ask(path=path, query={"per_page": _SIZE}), _Note, _SIZE)
        if not any(marker in one.body for one in there):
            body = {"body": f"{marker}\n{text}"}
            self._client.run(Ask(method="POST", path=path, body=body, repeat=False))

    def label(self, pull: Pull, labels: Sequence[str]) -> None:
        """See `Forge.label`. GitLab makes labels that do not exist."""
        missing = [name for name in labels if name not in pull.labels]
        if missing:
            self._edit(pull, {"add_labels": ",".join(missing)})

    def merge_when_allowed(self, pull: Pull, head: str) -> None:
        """See `Forge.merge_when_allowed`. GitLab 17.11 renamed the field that older ones need."""
        body = {"sha": head, "auto_merge": True, "merge_when_pipeline_succeeds": True}
        path = f"{self._project}/merge_requests/{pull.number}/merge"
        try:
            self._client.run(Ask(method="PUT", path=path, body=body))
        except Refused as error:
            if self.read(pull).state is not PullState.MERGED:
                raise Refused(error.message, status=error.status, hint=_MERGING) from error

    def stop_merge(self, pull: Pull) -> None:
        """See `Forge.stop_merge`. GitLab answers 405 or 406 if it was not going to merge."""
        path = f"{self._project}/merge_requests/{pull.number}/cancel_merge_when_pipeline_succeeds"
        try:
            self._client.run(Ask(method="POST", path=path))
        except Refused as error:
            if error.status not in (404, 405, 406):
                raise

    def list_push_options(self, title: str, base: str, labels: Sequence[str]) -> tuple[str, ...]:
        """None: the API does it."""
        return ()

    def describe_new(self, branch: str, base: str) -> str:
        """See `Forge.describe_new`."""
        return link_new(self._page, "gitlab", branch, base)

    def _edit(self, pull: Pull, change: object) -> None:
        self._client.run(Ask(method="PUT", path=f"{self._project}/merge_requests/{pull.number}", body=change))

    def _find_users(self, names: Sequence[str]) -> list[int]:
        """The ids of users. One that does not exist is left out, as GitHub does."""
        found: list[int] = []
        for name in names:
            users = self._client.ask(Ask(path="/users", query={"username": name}), list[_User])
            found += [user.id for user in users if user.username.lower() == name.lower()][:1]
        return found


def _explain(response: httpx.Response) -> str:
    if "insufficient_scope" in response.text[:1000]:
        return "give the token in M2G_TOKEN the scope api"
    if response.status_code in (403, 404):
        return "give the token in M2G_TOKEN the scope api and the role Developer in this project"
    return ""
