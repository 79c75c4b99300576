"""What `m2g init` made, and what to do next."""

from __future__ import annotations

from m2g.core.sanitize import make_visible


def text(folder: str, files: int, in_git: bool) -> str:
    """The folder, and the next steps as commands."""
    where = make_visible(folder, 300)
    steps = [] if in_git else ["git init && git add -A && git commit -m 'Scaffold'"]
    steps += ["edit m2g.yaml        registry, environments, storage", "m2g render           ask MLflow, write the tree"]
    steps += ["m2g validate         build and check every overlay"]
    lines = [f"made {files} files in {where}", "", "next:", f"  cd {where}", *(f"  {step}" for step in steps)]
    return "\n".join(lines) + "\n"
