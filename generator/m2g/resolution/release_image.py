"""Which image a release has: its environment's own, another environment's, or the one in a record of Git's history."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import UNSET

from m2g.core.errors import M2gError
from m2g.core.model import Image, Release
from m2g.core.stamp import StampState, check_stamp
from m2g.git import read
from m2g.repository import records
from m2g.repository.state import Repository
from m2g.serving.decide import choose, serving_of
from m2g.serving.spec import Serving

_MOST = 300
"""Commits that are looked at."""
_PROPOSED = "refs/remotes/origin/m2g/render"
"""The branch of CI's pull request: what was built for it is not built again every hour until it is merged."""


def kept(repository: Repository, slug: str, release: Release) -> Release:
    """The release of the same version keeps the image that its environment had, whatever another one has.

    Where it runs without one, another environment's image, to which somebody may have given a profile of its own, does
    not change that.
    """
    before = repository.records.get((slug, release.environment))
    if before is None or before.identity != release.identity:
        return release
    if before.image is not None:
        return msgspec.structs.replace(release, image=before.image)
    without = msgspec.structs.replace(release, image=None)
    return release if release.image is None or choose(repository, slug, without).waits_for else without


def remembered(repository: Repository, slug: str, release: Release) -> Release:
    """The release with the image that this very version was recorded with, where it needs one and has none.

    So a rollback, or a promotion of what another environment has left, runs the bytes that ran; and what waits to be
    merged is not built again.
    """
    root, before = repository.root, repository.records.get((slug, release.environment))
    moves = before is None or before.version != release.version
    if root is None or release.image is not None or (before is None and slug not in repository.slugs):
        return release
    if slug in repository.up_to_date and release == before:  # it is rendered, so it waits for nothing
        return release
    if not moves and not _asks(serving_of(repository, slug, release)[0]):
        return release
    chosen = choose(repository, slug, release)
    doubtful = moves and chosen.verdict is not None and chosen.verdict.answer != "serves"
    if not chosen.waits_for and not doubtful:
        return release
    home = "" if repository.config.images.registry is UNSET else f"{repository.config.images.registry}/"
    found = [
        past
        for past in _records(root, slug)
        if past.identity == release.identity
        and past.image is not None
        and past.image.name.startswith(home)
        and chosen.waits_for in ("", past.image.profile)
    ]
    image = _newest(found, release.environment)
    return release if image is None else msgspec.structs.replace(release, image=image)


def _asks(serving: Serving) -> bool:
    """Whether settings may want an image: dear to find out for every release, cheap to guess."""
    return serving.batch is not None or serving.profile.endswith("-image")


def _newest(found: list[Release], environment: str) -> Image | None:
    """The last one of this environment, else of any; `found` is newest first."""
    own = [past for past in found if past.environment == environment]
    return next((past.image for past in (*own, *found)), None)


def _records(root: Path, slug: str) -> list[Release]:
    """Every record of a model in Git's history, newest first; none where there is no history."""
    try:
        contents = read.read_history(root, f"models/{slug}/releases", ("HEAD", _PROPOSED), _MOST)
    except M2gError:
        return []
    found = []
    for content in contents:
        try:
            if check_stamp(content) is StampState.OURS:
                found.append(records.decode(content))
        except (msgspec.DecodeError, RecursionError):
            continue
    return found
