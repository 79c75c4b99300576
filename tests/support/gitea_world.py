"""What `m2g sync` works on, with its remote on a real Gitea, and what people do there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from m2g.core.proposal_types import Proposals
from m2g.forge.gitea import Gitea as GiteaForge
from tests.support.fleet import CONFIG
from tests.support.gitea import Gitea, git
from tests.support.sync_world import SyncWorld


class People:
    """`ada` owns the repositories, `bot` runs m2g, `ben` is a person who may write."""

    def __init__(self, forge: Gitea, name: str) -> None:
        self.ada, self.bot, self.ben = (forge.user(f"{name}-{one}") for one in ("ada", "bot", "ben"))
        self.token = self.bot.limited("write:repository", "write:issue")


class GiteaWorld(SyncWorld):
    """The world with its remote on Gitea. `via` is the address of a proxy before it."""

    def __init__(
        self,
        forge: Gitea,
        folder: Path,
        name: str,
        config: str = CONFIG,
        *,
        people: People | None = None,
        via: str = "",
    ) -> None:
        known = people or People(forge, name)
        self.ada, self.bot, self.ben, self.token = known.ada, known.bot, known.ben, known.token
        self.repository = self.ada.create(name)
        self.repository.admit(self.bot)
        self.repository.admit(self.ben)
        super().__init__(folder, config, self.repository.remote(self.ada))
        url = self.repository.url
        git(self.clone, "remote", "set-url", "origin", url.replace(forge.url, via) if via else url)
        self.api = f"{via or forge.url}/api/v1"
        self.forge = self.open

    def open(self, rules: Proposals) -> GiteaForge:
        """The client with the token of the bot."""
        return GiteaForge(self.api, self.repository.url.removesuffix(".git"), self.path, self.token)

    @property
    def path(self) -> str:
        """The repository's name on the forge."""
        return f"{self.ada.name}/{self.repository.name}"

    def pulls(self, state: str = "open") -> list[dict[str, Any]]:
        """Pull requests, the oldest first."""
        return sorted(self.repository.pulls(state), key=lambda one: int(one["number"]))

    def accept(self, number: int) -> None:
        """Merge as a person."""
        answer = self.repository.merge(self.ben, number)
        assert answer.is_success, answer.text

    def close(self, number: int) -> None:
        """Close as a person."""
        self.ben.ask("PATCH", f"{self.repository.path}/pulls/{number}", state="closed")

    def comments(self, number: int) -> list[str]:
        """What is said below a pull request."""
        return [str(one["body"]) for one in self.ada.pages(f"{self.repository.path}/issues/{number}/comments")]

    def person_commits(self, branch: str, folder: Path) -> str:
        """A commit of a person on a branch."""
        git(folder, "clone", "-q", "-b", branch, self.repository.remote(self.ben), str(folder / "person"))
        (folder / "person/note.txt").write_text("mine\n")
        git(folder / "person", "add", "-A")
        git(folder / "person", "commit", "-q", "-m", "mine")
        git(folder / "person", "push", "-q", "origin", "HEAD")
        return git(folder / "person", "rev-parse", "HEAD").strip()

    def observe(self) -> dict[str, Any]:
        """All that people see: each branch by what it contains, and each pull request. Ids and times are left out."""
        git(self.clone, "fetch", "-q", "--prune", self.repository.remote(self.ada), "+refs/heads/*:refs/seen/*")
        names = git(self.clone, "for-each-ref", "--format=%(refname)", "refs/seen").split()
        trees = {
            name.removeprefix("refs/seen/"): (
                git(self.clone, "log", "-1", "--format=%T %s", name).strip(),
                int(git(self.clone, "rev-list", "--count", f"refs/seen/main..{name}")),
            )
            for name in names
        }
        return {"branches": trees, "pulls": [self._describe(one) for one in self.pulls("all")]}

    def _describe(self, one: dict[str, Any]) -> dict[str, Any]:
        people = {name: [user["login"] for user in one[name] or []] for name in ("assignees", "requested_reviewers")}
        return {
            **people,
            "branch": one["head"]["label"],
            "state": one["state"],
            "merged": one["merged"],
            "title": one["title"],
            "body": _OID.sub("OID", one["body"]),
            "labels": sorted(label["name"] for label in one["labels"]),
            "comments": [_OID.sub("OID", text) for text in self.comments(one["number"])],
        }


_OID = re.compile(r"[0-9a-f]{40}")
