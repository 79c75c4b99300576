"""A remote with a `gh` that writes down every call and answers from files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.pipelines import Job, Remote, Run, render

GH = """\
#!/bin/sh
# Writes down every call; answers the query for comments from a file.
printf '%s\\n' "$*" >> "$GH/calls"
case "$*" in
  "api --paginate"*) cat "$GH/comments" ;;
  *body=@*) cp "$(printf '%s' "$*" | sed 's/.*body=@//')" "$GH/body" ;;
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

    def answer(self, *, comments: str = "") -> None:
        for name, text in {"comments": comments, "calls": ""}.items():
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

    def render(self, context: Mapping[str, str] | None = None) -> Run:
        return render(self.remote.clone, context=context)

    def check(self, clone: Path, base: str = "main") -> Job:
        context = {
            "github.token": "t", "github.event_name": "pull_request", "github.base_ref": base,
            "github.event.pull_request.number": "7",
            "github.event.pull_request.head.repo.full_name": "acme/models", "github.repository": "acme/models",
        }  # fmt: skip
        job = Job(clone, "check", context).run()
        comment = Job(clone, "check", context, "comment", job).run()
        job.ran += comment.ran
        job.failed += comment.failed
        job.said += comment.said
        return job
