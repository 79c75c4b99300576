"""Which image a release uses: its environment's own, another environment's, one of Git's history, or one built before.

An image of an environment's own record stays if it lies in images.registry under the model's slug. Any other is taken
over only with proof that it was built for this version: m2g's own cache of `m2g image --record`, or a record that
nobody may change without the owners of this environment. That record also has to say of the version what the registry
says. Branches are not read: whoever may push one would choose what runs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import get_args

import msgspec
from msgspec import UNSET

from m2g.core.cache import Cache, key
from m2g.core.config_types import Config
from m2g.core.errors import M2gError
from m2g.core.model import Image, Release
from m2g.core.stamp import StampState, check_stamp
from m2g.git import read
from m2g.repository import layout, records
from m2g.repository.code_owners import have_same_owners
from m2g.repository.layout import Key
from m2g.repository.state import Repository
from m2g.resolution.release_record import find_differences
from m2g.serving.decide import choose_serving, resolve_serving
from m2g.serving.spec import Serving

_MAX_COMMITS = 300
"""How many commits are searched."""
_PROFILES: tuple[str, ...] = get_args(msgspec.structs.fields(Image)[1].type)
_DECODER = msgspec.msgpack.Decoder(Image)


def is_named_for(config: Config, slug: str, name: str) -> bool:
    """Whether an image lies in images.registry under the model's slug, as CI pushes it."""
    registry = config.images.registry
    place = "" if registry is UNSET else f"{registry.rstrip('/')}/{slug}"
    return bool(place) and name.startswith((f"{place}@", f"{place}:", f"{place}/"))


def keep_image(repository: Repository, slug: str, release: Release, cache: Cache) -> Release:
    """The release with the image of its environment's record, if that is of the same version, else of another one's.

    If the environment runs the version without an image, it does not get another environment's image: that one may have
    a profile of its own.
    """
    before = repository.records.get((slug, release.environment))
    own = before is not None and before.identity == release.identity
    image = None if before is None or not own else before.image
    if before is not None and image is not None and _may_keep(repository.config, slug, before, image, release):
        return msgspec.structs.replace(release, image=image)
    without = msgspec.structs.replace(release, image=None)
    candidates = list(_list_environments(repository, slug))
    built = _find_built(repository, slug, release, cache) if any(record.image for record in candidates) else []
    shared = _find_newest(_list_fitting(repository, slug, release, candidates, built), release)
    if shared is None or (own and not choose_serving(repository, slug, without).waits_for):
        return without
    return msgspec.structs.replace(release, image=shared)


def restore_image(repository: Repository, slug: str, release: Release, cache: Cache) -> Release:
    """The release with the image that this version had in an earlier record, if it needs an image and has none.

    So a rollback runs the same bytes as before. An image that waits for a merge is in the cache: it is not built again.
    """
    before = repository.records.get((slug, release.environment))
    moves = before is None or before.version != release.version
    if repository.root is None or release.image is not None:
        return release
    if slug in repository.up_to_date and release == before:  # its files are rendered, so it waits for no image
        return release
    if not moves and not _may_need_image(resolve_serving(repository, slug, release)[0]):
        return release
    built = _find_built(repository, slug, release, cache)
    if before is None and slug not in repository.slugs and not built:
        return release
    chosen = choose_serving(repository, slug, release)
    uncertain = moves and chosen.verdict is not None and chosen.verdict.answer != "serves"
    if not chosen.waits_for and not uncertain:
        return release
    history = _list_fitting(repository, slug, release, _read_history(repository.root, slug), built)
    wanted = [record for record in history if chosen.waits_for in ("", record.image and record.image.profile)]
    image = _find_newest(wanted, release) or next(
        (image for image in built if chosen.waits_for in ("", image.profile)), None
    )
    return release if image is None else msgspec.structs.replace(release, image=image)


def remember_images(repository: Repository, releases: Mapping[Key, Release], cache: Cache) -> None:
    """Cache the images that were just built, for the runs until the records with them are merged."""
    for (slug, _), release in releases.items() if repository.images else ():
        image = repository.images.get((release.model, release.version))
        if image is not None and is_named_for(repository.config, slug, image.name):
            place = _make_key(repository.config, slug, release, image.profile)
            cache.put(place, msgspec.msgpack.encode(image))


def _may_keep(config: Config, slug: str, before: Release, image: Image, release: Release) -> bool:
    """Whether an environment's own image stays. Before m2g.yaml named a registry, any was recorded."""
    known = config.images.registry is UNSET or is_named_for(config, slug, image.name)
    return known and not find_differences(before, release)


def _find_built(repository: Repository, slug: str, release: Release, cache: Cache) -> list[Image]:
    keys = [_make_key(repository.config, slug, release, profile) for profile in _PROFILES]
    found = cache.read_all(keys, _DECODER).values()
    return [image for image in found if is_named_for(repository.config, slug, image.name)]


def _make_key(config: Config, slug: str, release: Release, profile: str) -> bytes:
    """What an image is built for: another source, MLmodel or requirement makes it another image."""
    said = msgspec.structs.replace(
        release, schema=1, environment="", follows="", run=None, image=None, serving=None, replaces=None, tags={}
    )
    if said.mlmodel is not None:
        said = msgspec.structs.replace(said, mlmodel=msgspec.structs.replace(said.mlmodel, example=""))
    return key("image", str(config.images.registry), slug, profile, msgspec.msgpack.encode(said))


def _may_need_image(serving: Serving) -> bool:
    """Whether the settings may need an image. To know it exactly would be slow for every release."""
    return serving.batch is not None or serving.profile.endswith("-image")


def _list_environments(repository: Repository, slug: str) -> Iterator[Release]:
    """The records of a model, the last environment first."""
    keys = ((slug, environment) for environment in sorted(repository.config.environments, reverse=True))
    return (record for key in keys if (record := repository.records.get(key)) is not None)


def _list_fitting(
    repository: Repository, slug: str, release: Release, candidates: Iterable[Release], built: Collection[Image]
) -> list[Release]:
    """The records whose image may be taken over. `built` are the images that m2g itself recorded for this version."""
    return [
        record
        for record in candidates
        if record.image is not None
        and record.identity == release.identity
        and is_named_for(repository.config, slug, record.image.name)
        and _has_facts_of(record, release)
        and (record.image in built or _has_owners_of(repository, slug, record, release))
    ]


def _has_owners_of(repository: Repository, slug: str, record: Release, release: Release) -> bool:
    """Whether the record of one environment needs the same approval as that of another."""
    if repository.root is None or record.environment == release.environment:
        return True
    files = (layout.release(slug, one.environment) for one in (record, release))
    return have_same_owners(repository.root, *files)


def _has_facts_of(record: Release, release: Release) -> bool:
    """Whether a record says of its version what decides about the image's content as the release does."""
    facts = [
        (one.artifact_uri, one.mlmodel and (one.mlmodel.sha256, one.mlmodel.requirements)) for one in (record, release)
    ]
    return facts[0] == facts[1]


def _find_newest(candidates: list[Release], release: Release) -> Image | None:
    """The newest image of the release's environment, otherwise of any. `candidates` are sorted, newest first."""
    own = [record for record in candidates if record.environment == release.environment]
    return next((record.image for record in (*own, *candidates)), None)


def _read_history(root: Path, slug: str) -> list[Release]:
    """Every record of a model in the history of what is checked out, newest first; empty if there is no history."""
    try:
        contents = read.read_history(root, layout.releases(slug), ("HEAD",), _MAX_COMMITS)
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
