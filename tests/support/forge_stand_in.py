"""GitHub and GitLab on loopback: the calls that m2g makes, checked against what their API descriptions allow.

Each call lists the fields of its query and its body with their types; a `!` marks a field that is required. Anything
else is a 400 that no client of m2g handles, so that the test fails.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

_CLOCK = time.time
"""The forge's own clock, whatever a test does to the one of m2g."""
_LIST: dict[str, type] = {"page": str, "per_page": str}
GITHUB: dict[str, tuple[dict[str, type], dict[str, type]]] = {
    "GET /repos/o/n/pulls": ({**_LIST, "state": str, "head": str, "base": str, "sort": str, "direction": str}, {}),
    "POST /repos/o/n/pulls": (
        {},
        {"title": str, "head!": str, "base!": str, "body": str, "draft": bool, "maintainer_can_modify": bool},
    ),
    "PATCH /repos/o/n/pulls/N": ({}, {"title": str, "body": str, "state": str, "base": str}),
    "POST /repos/o/n/pulls/N/requested_reviewers": ({}, {"reviewers": list, "team_reviewers": list}),
    "GET /repos/o/n/issues/N/comments": (_LIST, {}),
    "POST /repos/o/n/issues/N/comments": ({}, {"body!": str}),
    "POST /repos/o/n/issues/N/labels": ({}, {"labels": list}),
    "POST /repos/o/n/issues/N/assignees": ({}, {"assignees": list}),
    "GET /repos/o/n": ({}, {}),
    "GET /repos/o/n/pulls/N": ({}, {}),
    "POST /graphql": ({}, {"query!": str, "variables": dict}),
}
_EDIT: dict[str, type] = {"title": str, "description": str, "state_event": str, "labels": str, "add_labels": str}
GITLAB: dict[str, tuple[dict[str, type], dict[str, type]]] = {
    "GET /projects/o%2Fn/merge_requests": (
        {**_LIST, "state": str, "source_branch": str, "target_branch": str, "order_by": str, "sort": str},
        {},
    ),
    "GET /projects/o%2Fn/merge_requests/N": ({}, {}),
    "PUT /projects/o%2Fn/merge_requests/N/merge": (
        {},
        {"sha": str, "auto_merge": bool, "merge_when_pipeline_succeeds": bool, "squash": bool},
    ),
    "POST /projects/o%2Fn/merge_requests/N/cancel_merge_when_pipeline_succeeds": ({}, {}),
    "POST /projects/o%2Fn/merge_requests": (
        {},
        {
            "source_branch!": str, "target_branch!": str, "title!": str, "description": str, "labels": str,
            "assignee_ids": list, "reviewer_ids": list, "remove_source_branch": bool, "squash": bool,
        },
    ),
    "PUT /projects/o%2Fn/merge_requests/N": ({}, _EDIT),
    "GET /projects/o%2Fn/merge_requests/N/notes": (_LIST, {}),
    "POST /projects/o%2Fn/merge_requests/N/notes": ({}, {"body!": str}),
    "GET /users": ({"username": str}, {}),
}  # fmt: skip


class StandIn:
    """`kind` is github or gitlab. `faults` are answers (status, headers, carried out) for the next requests."""

    def __init__(self, kind: str, url: str) -> None:
        self.kind = kind
        self.url = url
        self.calls: list[str] = []
        self.wrong: list[str] = []
        self.pulls: list[dict[str, Any]] = []
        self.comments: dict[int, list[str]] = {}
        self.reviewers: list[str] = []
        self.faults: list[tuple[int, dict[str, str], bool]] = []
        self.merging: set[int] = set()

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], Any]:
        """Status, headers and JSON."""
        parts = urlsplit(target)
        call = f"{method} {re.sub(r'/[0-9]+(?=/|$)', '/N', parts.path)}"
        query, data = dict(parse_qsl(parts.query)), json.loads(body) if body else {}
        self.calls.append(call)
        self._check(call, query, data, headers)
        fault = self.faults.pop(0) if self.faults else None
        if fault and not fault[2]:
            return fault[0], fault[1], {"message": "You have exceeded a secondary rate limit"}
        done = (
            self._github(call, parts.path, query, data)
            if self.kind == "github"
            else self._gitlab(call, parts.path, query, data)
        )
        return (fault[0], fault[1], {"message": "bad gateway"}) if fault else (done[0], {}, done[1])

    def _check(self, call: str, query: dict[str, str], data: dict[str, Any], headers: dict[str, str]) -> None:
        known = (GITHUB if self.kind == "github" else GITLAB).get(call)
        if known is None:
            self.wrong.append(f"unknown call {call}")
            return
        for given, allowed in ((query, known[0]), (data, known[1])):
            types = {name.rstrip("!"): kind for name, kind in allowed.items()}
            self.wrong += [
                f"{call}: {name}" for name, value in given.items() if not isinstance(value, types.get(name, ()))
            ]
            self.wrong += [f"{call}: no {name}" for name in allowed if name.endswith("!") and name[:-1] not in given]
        token = headers.get("authorization") == "Bearer secret" or headers.get("private-token") == "secret"
        self.wrong += [] if token else [f"{call}: no token"]
        if self.kind == "github" and headers.get("x-github-api-version") != "2022-11-28":
            self.wrong.append(f"{call}: no version of the API")

    def _find(self, path: str) -> dict[str, Any]:
        number = int(re.findall(r"/([0-9]+)(?=/|$)", path)[0])
        return next(one for one in self.pulls if one["number"] == number)

    def _new(self, branch: str, base: str, title: str, body: str) -> dict[str, Any] | None:
        if any(one["branch"] == branch and one["state"] == "open" for one in self.pulls):
            return None
        made: dict[str, Any] = {"number": len(self.pulls) + 1, "branch": branch, "base": base, "title": title}
        made |= {"body": body, "state": "open", "merged": False, "labels": [], "fork": False}
        self.pulls.append(made)
        return made

    def _page(self, found: list[dict[str, Any]], query: dict[str, str]) -> list[dict[str, Any]]:
        size, page = int(query.get("per_page", 30)), int(query.get("page", 1))
        assert size <= 100
        return found[(page - 1) * size : page * size]

    def _comments(self, path: str, data: dict[str, Any], method: str) -> tuple[int, Any]:
        said = self.comments.setdefault(self._find(path)["number"], [])
        if method == "GET":
            return 200, [{"body": one} for one in said]
        said.append(data["body"])
        return 201, {"body": data["body"]}

    def _github(self, call: str, path: str, query: dict[str, str], data: dict[str, Any]) -> tuple[int, Any]:
        match call.split(" ", maxsplit=1)[0], call.rpartition("/")[2]:
            case "GET", "pulls":
                state, head = query.get("state", "open"), query.get("head", "").partition(":")[2]
                found = [one for one in self.pulls if one["state"] == state and head in ("", one["branch"])]
                return 200, [self._show_github(one) for one in self._page(found, query)]
            case "POST", "graphql":
                return 200, self._mutate(data["query"], data["variables"])
            case "GET", "n":
                return 200, {"allow_merge_commit": False, "allow_squash_merge": True, "allow_rebase_merge": True}
            case "GET", "N" if "/pulls/" in path:
                return 200, self._show_github(self._find(path))
            case "POST", "pulls":
                made = self._new(data["head"], data["base"], data["title"], data.get("body", ""))
                if made is None:
                    return 422, {
                        "message": "Validation Failed",
                        "errors": [{"message": "A pull request already exists"}],
                    }
                return 201, self._show_github(made)
            case "PATCH", _:
                changed = self._find(path)
                changed.update(data)
                return 200, self._show_github(changed)
            case method, "comments":
                return self._comments(path, data, method)
            case "POST", "labels":
                one = self._find(path)
                one["labels"] = sorted({*one["labels"], *data["labels"]})
                return 200, [{"name": name} for name in one["labels"]]
            case "POST", _:
                self.reviewers += data.get("reviewers", []) + data.get("assignees", [])
                return 201, {}
            case _:
                pass
        return 404, {"message": "Not Found"}

    def _mutate(self, query: str, variables: dict[str, str]) -> dict[str, Any]:
        """The two mutations of GitHub's GraphQL schema that m2g uses, with their inputs."""
        number = int(variables["id"].removeprefix("PR_"))
        if "disablePullRequestAutoMerge" in query:
            known = number in self.merging
            self.merging.discard(number)
            said = [] if known else [{"message": "Can't disable auto-merge for this pull request: not enabled"}]
            return {"data": {}, "errors": said} if said else {"data": {}}
        assert "enablePullRequestAutoMerge" in query
        assert variables["method"] in ("MERGE", "SQUASH", "REBASE")
        if variables["head"] != "a":
            return {"errors": [{"message": "Head sha didn't match expected"}]}
        self.merging.add(number)
        return {"data": {}}

    def _show_github(self, one: dict[str, Any]) -> dict[str, Any]:
        here = {"full_name": "o/n"}
        return {
            "number": one["number"], "html_url": f"https://page/{one['number']}", "state": one["state"],
            "title": one["title"], "body": one["body"] or None, "merged_at": "2026" if one["merged"] else None,
            "node_id": f"PR_{one['number']}", "created_at": "2026-01-01T00:00:00Z",
            "head": {"ref": one["branch"], "sha": "a", "repo": {"full_name": "x/n"} if one["fork"] else here},
            "base": {"ref": one["base"], "sha": "b", "repo": here}, "labels": [{"name": n} for n in one["labels"]],
        }  # fmt: skip

    def _gitlab(self, call: str, path: str, query: dict[str, str], data: dict[str, Any]) -> tuple[int, Any]:
        match call.split(" ", maxsplit=1)[0], call.rpartition("/")[2]:
            case "GET", "users":
                return 200, [{"id": 7, "username": query["username"]}]
            case "GET", "merge_requests":
                state, branch = query.get("state", "all"), query.get("source_branch", "")
                wanted = {"opened": "open"}.get(state, state)
                found = [one for one in self.pulls if wanted in ("all", one["state"]) and branch in ("", one["branch"])]
                return 200, [self._show_gitlab(one) for one in self._page(found, query)]
            case "POST", "merge_requests":
                made = self._new(data["source_branch"], data["target_branch"], data["title"], data["description"])
                if made is None:
                    return 409, {"message": ["Another open merge request already exists for this source branch: !1"]}
                made["labels"] = [name for name in data["labels"].split(",") if name]
                self.reviewers += [str(one) for one in data["reviewer_ids"] + data["assignee_ids"]]
                return 201, self._show_gitlab(made)
            case "GET", "N":
                return 200, self._show_gitlab(self._find(path))
            case "PUT", "merge":
                one = self._find(path)
                if data["sha"] != "a":
                    return 409, {"message": "SHA does not match HEAD of source branch"}
                self.merging.add(one["number"])
                return 200, self._show_gitlab(one)
            case "POST", "cancel_merge_when_pipeline_succeeds":
                number = self._find(path)["number"]
                known = number in self.merging
                self.merging.discard(number)
                return (201, {}) if known else (406, {"message": "Can't cancel the automatic merge"})
            case "PUT", _:
                one = self._find(path)
                one["title"], one["body"] = data.get("title", one["title"]), data.get("description", one["body"])
                one["labels"] += [name for name in data.get("add_labels", "").split(",") if name]
                one["state"] = "closed" if data.get("state_event") == "close" else one["state"]
                return 200, self._show_gitlab(one)
            case method, "notes":
                return self._comments(path, data, method)
            case _:
                pass
        return 404, {"message": "404 Not found"}

    def _show_gitlab(self, one: dict[str, Any]) -> dict[str, Any]:
        state = "merged" if one["merged"] else {"open": "opened"}.get(one["state"], one["state"])
        return {
            "created_at": "2026-01-01T00:00:00.000Z",
            "iid": one["number"], "web_url": f"https://page/{one['number']}", "state": state, "sha": "a",
            "source_branch": one["branch"], "target_branch": one["base"], "title": one["title"],
            "source_project_id": 2 if one["fork"] else 1, "target_project_id": 1, "description": one["body"],
            "labels": one["labels"],
        }  # fmt: skip


@contextmanager
def stand_in(kind: str) -> Iterator[StandIn]:
    """Serve one until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def _reply(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {key.lower(): value for key, value in self.headers.items()}
            status, more, data = made.answer(self.command, self.path, headers, body)
            text = json.dumps(data).encode()
            self.send_response(status)
            for key, value in {**more, "content-type": "application/json", "content-length": str(len(text))}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(text)

        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string(_CLOCK() if timestamp is None else timestamp)

        do_GET = do_POST = do_PATCH = do_PUT = _reply  # noqa: N815  # names of the standard library

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name of the base class
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = StandIn(kind, f"http://127.0.0.1:{server.server_address[1]}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
