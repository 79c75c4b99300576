"""What `m2g init` created, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence

from m2g.core.sanitize import make_visible


def render_text(folder: str, files: int, in_git: bool, replaced: Sequence[str] = ()) -> str:
    """The folder, what was replaced in it, and the next steps as commands."""
    where = make_visible(folder, 300)
    steps = [] if in_git else ["git init && git add -A && git commit -m 'Scaffold'"]
    steps += ["$EDITOR m2g.yaml     # set the registry, environments and storage"]
    steps += ["m2g render           # read MLflow and write the repository"]
    steps += ["m2g validate         # build and check every overlay"]
    lost = [f"replaced {name} (to see the old one: git show HEAD:{name})" for name in replaced]
    lines = [
        f"created {files} files in {where}",
        *lost,
        "",
        "next steps:",
        f"  cd {where}",
        *(f"  {step}" for step in steps),
    ]
    return "\n".join(lines) + "\n"
