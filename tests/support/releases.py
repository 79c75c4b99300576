"""A repository whose releases move while people hold them and go back."""

from __future__ import annotations

from pathlib import Path

from m2g.core.results import HoldResult
from m2g.repository import records
from tests.support import git_repository
from tests.support.fleet import FakeRegistry, model, repository, run


class Line:
    """`wine` in prod, followed by m2g and committed after each step, on a branch of its own."""

    def __init__(self, root: Path) -> None:
        self.root = repository(root)
        self.registry = FakeRegistry([model(champion="1")], last=5)
        git_repository.start(root)
        self.follow("1")

    def follow(self, version: str) -> None:
        """Move the alias, render and commit."""
        self.registry.known[0] = model(champion=version)
        self.render()
        self.commit(f"wine {version}")

    def render(self) -> list[str]:
        """Render; the rules of the findings."""
        return [finding.rule for finding in run(self.root, self.registry).findings]

    def commit(self, message: str = "change") -> str:
        """Commit everything."""
        return git_repository.commit(self.root, message)

    def git(self, *arguments: str) -> str:
        """Run Git."""
        return git_repository.git(self.root, *arguments)

    @property
    def record(self) -> bytes:
        """The record in prod."""
        return (self.root / "models/wine/releases/prod.json").read_bytes()

    @property
    def version(self) -> str:
        """The version in prod."""
        return records.decode(self.record).version


def tell(result: HoldResult) -> tuple[str, str, str]:
    """What a hold or a rollback did."""
    return result.action, result.before, result.model_version
