"""Which image a release uses: its environment's own, another environment's, or one of a record in Git's history."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import UNSET

from m2g.core.errors import M2gError
from m2g.core.model import Image, Release
from m2g.core.stamp import StampState, check_stamp
from m2g.git import read
from m2g.repository import layout, records
from m2g.repository.state import Repository
from m2g.serving.decide import choose_serving, resolve_serving
from m2g.serving.spec import Serving

_MAX_COMMITS = 300
"""How many commits are searched."""
_PROPOSED = "refs/remotes/origin/m2g/render"
"""The branch of CI's pull request. Images built for it are not built again in every run until it is merged."""


def keep_image(repository: Repository, slug: str, release: Release) -> Release:
    """The release with the image of its environment's record, if that is for the same version.

    If the environment runs the version without an image, it does not get another environment's image: that one may have
    a profile of its own.
    """
    before = repository.records.get((slug, release.environment))
    if before is None or before.identity != release.identity:
        return release
    if before.image is not None:
        return msgspec.structs.replace(release, image=before.image)
    without = msgspec.structs.replace(release, image=None)
    return release if release.image is None or choose_serving(repository, slug, without).waits_for else without


def restore_image(repository: Repository, slug: str, release: Release) -> Release:
    """The release with the image that this version had in an earlier record, if it needs an image and has none.

    So a rollback runs the same bytes as before, and an image that waits for a merge is not built again.
    """
    root, before = repository.root, repository.records.get((slug, release.environment))
    moves = before is None or before.version != release.version
    if root is None or release.image is not None or (before is None and slug not in repository.slugs):
        return release
    if slug in repository.up_to_date and release == before:  # its files are rendered, so it waits for no image
        return release
    if not moves and not _may_need_image(resolve_serving(repository, slug, release)[0]):
        return release
    chosen = choose_serving(repository, slug, release)
    uncertain = moves and chosen.verdict is not None and chosen.verdict.answer != "serves"
    if not chosen.waits_for and not uncertain:
        return release
    registry = "" if repository.config.images.registry is UNSET else f"{repository.config.images.registry}/"
    candidates = [
        record
        for record in _read_history(root, slug)
        if record.identity == release.identity
        and record.image is not None
        and record.image.name.startswith(registry)
        and chosen.waits_for in ("", record.image.profile)
    ]
    image = _newest_image(candidates, release.environment)
    return release if image is None else msgspec.structs.replace(release, image=image)


def _may_need_image(serving: Serving) -> bool:
    """Whether the settings may need an image. To know it exactly would be slow for every release."""
    return serving.batch is not None or serving.profile.endswith("-image")


def _newest_image(candidates: list[Release], environment: str) -> Image | None:
    """The newest image of this environment, otherwise of any. `candidates` are sorted, newest first."""
    own = [record for record in candidates if record.environment == environment]
    return next((record.image for record in (*own, *candidates)), None)


def _read_history(root: Path, slug: str) -> list[Release]:
    """Every record of a model in Git's history, newest first; empty if there is no history."""
    try:
        contents = read.read_history(root, layout.releases(slug), ("HEAD", _PROPOSED), _MAX_COMMITS)
    except M2gError:
        return []
    history = []
    for content in contents:
        try:
            if check_stamp(content) is StampState.OURS:
                history.append(records.decode(content))
        except (msgspec.DecodeError, RecursionError):
            continue
    return history
