"""A remote with a `gh` that writes down every call and answers from files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.pipelines import Job, Remote

GH = """\
#!/bin/sh
# Writes down every call; answers the queries from files.
printf '%s\\n' "$*" >> "$GH/calls"
case "$*" in
  *"--state open"*) cat "$GH/open" ;;
  *"--state closed"*) cat "$GH/closed" ;;
  "api --paginate"*) cat "$GH/comments" ;;
  *body-file*|*body=@*) cp "$(printf '%s' "$*" | sed 's/.*body\\(-file \\|=@\\)//')" "$GH/body" ;;
esac
"""


class GitHub:
    """A remote with GitHub's command line: `calls` are what it was asked."""

    def __init__(self, folder: Path, origin: Path) -> None:
        self.remote = Remote(folder, origin)
        self.state = folder / "gh"
        self.state.mkdir()
        (folder / "bin").mkdir()
        (folder / "bin/gh").write_text(GH)
        (folder / "bin/gh").chmod(0o755)
        self.answer()

    def answer(self, *, opened: str = "", closed: str = "", comments: str = "") -> None:
        for name, text in {"open": opened, "closed": closed, "comments": comments, "calls": ""}.items():
            (self.state / name).write_text(f"{text}\n" if text else "")

    def use(self, patch: pytest.MonkeyPatch) -> None:
        """Put `gh` on the path."""
        patch.setenv("GH", str(self.state))
        patch.setenv("PATH", str(self.state.with_name("bin")), prepend=":")

    @property
    def calls(self) -> list[str]:
        return (self.state / "calls").read_text().splitlines()

    @property
    def body(self) -> str:
        return (self.state / "body").read_text()

    def render(self, context: Mapping[str, str] | None = None) -> Job:
        known = {"github.token": "t", "github.actor": "ada", **(context or {})}
        return Job(self.remote.clone(), "render", known).run()

    def check(self, clone: Path, base: str = "main") -> Job:
        context = {
            "github.token": "t", "github.event_name": "pull_request", "github.base_ref": base,
            "github.event.pull_request.number": "7",
            "github.event.pull_request.head.repo.full_name": "acme/models", "github.repository": "acme/models",
        }  # fmt: skip
        job, comment = Job(clone, "check", context).run(), Job(clone, "check", context, "comment").run()
        job.ran += comment.ran
        job.failed += comment.failed
        job.said += comment.said
        return job
