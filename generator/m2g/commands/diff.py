"""`m2g diff`: the working tree against where it left a ref, model by model, with the objects that both build."""

from __future__ import annotations

from pathlib import Path

from m2g import kustomize
from m2g.repository.state import Scope
from m2g.review import Review, review
from m2g.review.compare import compared


def diff(
    root: Path, against: str, scope: Scope, *, progress: kustomize.Progress = lambda what, done, total: None
) -> Review:
    """Compare the files below `root` as they are with the merge base of HEAD and `against` (empty: the usual base).

    Raises InputError for a ref, a repository or a history that is not there, OutsideError where git or kustomize fails.
    """
    found = compared(root, against, scope, progress=progress)
    return review(found.old, found.new, against=found.against, files=found.files, notes=found.notes)
