"""A remote, a clone of it, and a registry that answers as it is told: what `m2g sync` works on."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import msgspec

from m2g.commands import validate
from m2g.core.cache import Cache
from m2g.core.finding import Finding
from m2g.core.model import RegisteredModel
from m2g.core.proposal_types import Proposals
from m2g.delivery.loop import LoopOptions, Tools, run_loop
from m2g.delivery.survey import SurveyOptions
from m2g.delivery.values import Proposal, SyncResult
from m2g.forge import Forge
from m2g.forge.plain import PlainGit
from m2g.git.remote import find_remote
from m2g.git.worktree import open_worktree
from m2g.report.review_markdown import render_markdown
from m2g.repository.state import Repository, Scope
from m2g.resolution.resolve import Resolved, resolve
from tests.support.fleet import CONFIG, FakeRegistry, model, run
from tests.support.git_repository import commit, git, start


class SyncWorld:
    """`clone` has the branch `main` of `remote`, with the files that the registry wanted at first."""

    def __init__(self, folder: Path, config: str = CONFIG, remote: str = "") -> None:
        self.folder = folder
        self.registry = FakeRegistry([model("wine", champion="1", challenger="1"), model("churn", champion="2")])
        self.remote = remote or str(folder / "remote.git")
        if not remote:
            git(folder, "init", "-q", "--bare", "-b", "main", self.remote)
        self.clone = self.root = start(folder / "clone")
        (self.clone / "m2g.yaml").write_text(config)
        (self.clone / ".gitignore").write_text(".m2g/\n")
        run(self.clone, self.registry)
        commit(self.clone, "first")
        git(self.clone, "remote", "add", "origin", self.remote)
        git(self.clone, "push", "-q", "origin", "HEAD:main")
        self.findings: tuple[Finding, ...] = ()
        """What a smoke test has found."""
        self.forge: Callable[[Proposals], Forge] = lambda rules: PlainGit()

    def take(self, folder: Path) -> None:
        """Be the world that another process has made in a folder."""
        self.folder, self.clone, self.root = folder, folder / "clone", folder / "clone"
        self.registry = FakeRegistry([model("wine", champion="1", challenger="1"), model("churn", champion="2")])
        self.forge = lambda rules: PlainGit()

    def move(self, name: str, **aliases: str) -> None:
        """Move aliases of a registered model."""
        known = next((one for one in self.registry.known if one.name == name), None)
        self.registry.known = [one for one in self.registry.known if one.name != name]
        before = known.aliases if known else {}
        self.registry.known.append(RegisteredModel(name=name, aliases={**before, **aliases}))

    def sync(self, *, reopen: Collection[str] = (), dry_run: bool = False, scope: Scope | None = None) -> SyncResult:
        """Run the loop once, as the command does."""
        chosen = scope or Scope()
        tools = Tools(
            resolve=lambda folder, base: lambda repository, cache: self._resolve(repository, chosen, cache),
            validate=lambda root, part: validate.validate(root, validate.ValidateOptions(scope=part)),
            describe=render_markdown,
            open_forge=self.forge,
        )
        options = LoopOptions(survey=SurveyOptions(scope=chosen), reopen=frozenset(reopen), dry_run=dry_run)
        with open_worktree(self.root, find_remote(self.root)) as worktree:
            return run_loop(worktree, options, tools)

    def _resolve(self, repository: Repository, scope: Scope, cache: Cache) -> Resolved:
        found = resolve(repository, self.registry, scope, cache)
        return msgspec.structs.replace(found, findings=(*found.findings, *self.findings))

    def tips(self) -> dict[str, str]:
        """Branch → commit on the remote."""
        lines = git(self.clone, "ls-remote", "--heads", "origin").splitlines()
        return {line.split("refs/heads/")[1]: line.split("\t")[0] for line in lines}

    def read(self, branch: str, path: str) -> str:
        """The content of a file of a branch on the remote."""
        git(self.clone, "fetch", "-q", "origin", branch)
        return git(self.clone, "show", f"FETCH_HEAD:{path}")

    def record(self, branch: str, slug: str, environment: str) -> dict[str, Any]:
        """A release record of a branch on the remote."""
        found: dict[str, Any] = json.loads(self.read(branch, f"models/{slug}/releases/{environment}.json"))
        return found

    def settle(self) -> None:
        """Let main have what the registry and model.yaml say now."""
        run(self.clone, self.registry)
        commit(self.clone, "settle")
        git(self.clone, "push", "-q", "origin", "HEAD:main")

    def merge(self, branch: str) -> None:
        """Merge a branch into main, as a person would without a forge."""
        git(self.clone, "fetch", "-q", "origin", "main", branch)
        git(self.clone, "switch", "-q", "-C", "merging", "origin/main")
        git(self.clone, "merge", "-q", "--no-edit", f"origin/{branch}")
        git(self.clone, "push", "-q", "origin", "HEAD:main")
        git(self.clone, "switch", "-q", "main")


def actions(result: SyncResult) -> dict[str, str]:
    """Branch → action."""
    return {one.branch: str(one.action) for one in result.proposals}


def of(result: SyncResult, branch: str) -> Proposal:
    """The proposal of a branch."""
    return next(one for one in result.proposals if one.branch == branch)
