"""`m2g diff`: compare the working tree with its merge base, model by model, with the objects that both build."""

from __future__ import annotations

from pathlib import Path

from m2g import kustomize
from m2g.repository.state import Scope
from m2g.review import Review, review
from m2g.review.compare import build_comparison


def diff(
    root: Path, against: str, scope: Scope, *, progress: kustomize.Progress = lambda what, done, total: None
) -> Review:
    """Compare the files on disk with the merge base of HEAD and `against` (empty: the remote's main branch).

    Raises InputError if there is no such ref, repository or history, OutsideError if git or kustomize fails.
    """
    states = build_comparison(root, against, scope, progress=progress)
    return review(states.old, states.new, against=states.against, files=states.files, notes=states.notes)
