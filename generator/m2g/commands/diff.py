"""`m2g diff`: compare the working tree with its merge base, model by model, with the objects that both build."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from m2g import kustomize
from m2g.repository import layout, model_folder, records
from m2g.repository.state import Scope, refuse_unknown
from m2g.review import Review, review
from m2g.review.compare import Comparison, build_comparison


def diff(
    root: Path, against: str, scope: Scope, *, progress: kustomize.Progress = lambda what, done, total: None
) -> Review:
    """Compare the files on disk with the merge base of HEAD and `against` (empty: the remote's main branch).

    Raises InputError if there is no such ref, repository or history, OutsideError if git or kustomize fails.
    """
    states = build_comparison(root, against, scope, progress=progress)
    _check_scope(root, scope, states)
    found = review(states.old, states.new, against=states.against, files=states.files, notes=states.notes)
    files = {*found.files, *_list_unseen(found, states)} if scope == Scope() else found.files
    return msgspec.structs.replace(found, outside=states.outside, files=tuple(sorted(files)))


def _list_unseen(found: Review, states: Comparison) -> Iterator[str]:
    """The changed files of models that no change is about."""
    seen = {change.slug for change in found.changes}
    for path in states.changed - states.files:
        place = layout.parse_path(path)
        if place is not None and place.slug not in seen:
            yield path


def _check_scope(root: Path, scope: Scope, states: Comparison) -> None:
    """Refuse a model or environment that neither side has."""
    if not scope.models and not scope.environments:
        return
    found = {**records.read_all(root)[0], **states.old.releases, **states.new.releases}
    keys = {*found, *states.old.overlays, *states.new.overlays, *model_folder.list_overlays(root)}
    refuse_unknown("model", scope.models, {slug for slug, _ in keys} | {release.model for release in found.values()})
    refuse_unknown("environment", scope.environments, {environment for _, environment in keys})
