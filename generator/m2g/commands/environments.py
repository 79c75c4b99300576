"""`m2g environments`: list serving environments, plan new ones, write a build context, record an image."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Collection
from pathlib import Path

import msgspec

from m2g.changes import write
from m2g.core.cache import Cache
from m2g.core.config_types import Config
from m2g.core.environment_results import (
    EnvironmentRow,
    JoinedEnvironment,
    KeptApart,
    PlannedEnvironment,
    PlanResult,
    PreparedEnvironment,
    RecordedImage,
    UnplannedVersions,
)
from m2g.core.errors import InputError
from m2g.core.model import Value
from m2g.core.serving_environment import RecordedEnvironment
from m2g.core.stamp import is_same
from m2g.git import read as git
from m2g.image import output_folder
from m2g.image.context.environment import MARKER, decode_environment_marker, make_environment_files
from m2g.image.environment_candidates import list_candidates
from m2g.image.environment_lock import make_lock
from m2g.image.environment_plan import EnvironmentPlan, Unplanned, plan_environments
from m2g.registry import Progress, Registry
from m2g.repository import cache_location, environments, layout, load
from m2g.repository.layout import Key
from m2g.repository.state import Repository, Scope, refuse_unknown
from m2g.resolution.resolve import open_configured_registry, resolve
from m2g.serving.environment_users import list_users

Open = Callable[[Config], Registry]
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class PlanOptions(Value, frozen=True, kw_only=True):
    """The options of `m2g environments plan`. `repack` plans from the beginning, as if nothing was recorded."""

    locked: bool = False
    write: bool = False
    repack: bool = False
    before: str = ""


def registry_opener(root: Path, progress: Progress) -> Open:
    """A function that opens the registry named in m2g.yaml; it is called only if the registry is needed."""
    return lambda config: open_configured_registry(config, root, progress)


def list_environments(root: Path, *, missing: bool = False) -> tuple[EnvironmentRow, ...]:
    """The serving environments, by id; with `missing` only those without an image."""
    repository = load.read_repository(root)
    users = list_users(repository)
    return tuple(
        _describe(root, one, users.get(one.id, ()))
        for one in repository.environments.values()
        if not (missing and one.environment.image)
    )


def plan(root: Path, options: PlanOptions, open_registry: Open) -> PlanResult:
    """Plan environments for the versions that need one; with `write`, add those that are new.

    Raises InvalidRepository, InputError, and OutsideError if the registry, the package index or the disk fails. Then
    nothing is written.
    """
    lock = write.lock_repository(root) if options.write else contextlib.nullcontext()
    with lock, Cache(cache_location.find_cache_folder(root)) as cache:
        repository = load.read_repository(root)
        records = repository.records
        if not options.locked:
            registry = open_registry(repository.config)
            records = resolve(repository, registry, Scope(), cache, verify=True).records
        candidates, refused = list_candidates(repository, records)
        known = {} if options.repack else repository.environments
        locking = make_lock(repository.config, cache, options.before)
        planned = plan_environments(repository.config, candidates, known, locking)
        tree = {
            path: content
            for one in planned.new
            if one.recorded.id not in repository.environments
            for path, content in environments.render_record(one.recorded.environment, one.recorded.text).items()
        }
        if options.write:
            write.write_tree(root, tree, (), {})
        return _make_result(repository, planned, refused, options, tuple(sorted(tree)))


def rebase(root: Path, names: Collection[str], *, write_files: bool) -> PlanResult:
    """The environments on the base image that images.bases in m2g.yaml names today: the same lock, a new identity.

    `names` are their ids; without one, all that a release uses. The old ones stay, and no release moves: one that is
    decided again takes the new environment as soon as its image is recorded. Raises InputError and InvalidRepository.
    """
    with write.lock_repository(root) if write_files else contextlib.nullcontext():
        repository = load.read_repository(root)
        refuse_unknown("serving environment", names, list(repository.environments))
        users = list_users(repository)
        new: list[PlannedEnvironment] = []
        tree: dict[str, bytes] = {}
        for name in sorted(names or users):
            one = repository.environments.get(name)
            base = "" if one is None else repository.config.images.bases.get(one.environment.python, "")
            if one is None or base in ("", one.environment.base):
                continue
            after = msgspec.structs.replace(one.environment, base=base, image="")
            if after.id in repository.environments:
                continue
            tree |= environments.render_record(after, one.text)
            versions = tuple(f"{slug} ({place})" for slug, place in users.get(name, ()))
            new.append(_describe_planned(msgspec.structs.replace(one, id=after.id, environment=after), versions))
        if write_files:
            write.write_tree(root, tree, (), {})
        return PlanResult(
            joins=(),
            new=tuple(new),
            apart=(),
            unplanned=(),
            unused=(),
            files=tuple(sorted(tree)),
            written=write_files and bool(tree),
        )


def prepare(root: Path, name: str, to: Path, *, dry_run: bool = False) -> PreparedEnvironment:
    """Write the build context of an environment to the directory `to`. Neither the registry nor uv is asked."""
    repository = load.read_repository(root)
    one = _find(repository, name)
    files = make_environment_files(one)
    output_folder.check_folder(to, MARKER, _list_written(to))
    if not dry_run:
        output_folder.write_folder(to, files, {})
    base = one.environment.base
    changing = "@sha256:" not in base
    note = f"the tag {base} can change: set images.bases in m2g.yaml to an image with a digest"
    return PreparedEnvironment(
        id=one.id,
        base=base,
        platforms=one.environment.platforms,
        image=environments.name_image(repository.config, one.id),
        folder=str(to),
        files=tuple(sorted(files)),
        notes=(note,) if changing else (),
        written=not dry_run,
    )


def record(root: Path, name: str, image: str) -> RecordedImage:
    """Write the digest of its image to an environment.

    Raises InputError if it is not an image of this environment, or if another one is recorded: it never changes.
    """
    with write.lock_repository(root):
        repository = load.read_repository(root)
        one = _find(repository, name)
        _check_image(repository.config, one, image)
        after = msgspec.structs.replace(one.environment, image=image)
        path = layout.environment_record(one.id)
        content = environments.render_record(after, one.text)[path]
        before = (root / path).read_bytes()
        if is_same(before, content):
            return RecordedImage(id=one.id, image=image, files=())
        write.write_tree(root, {path: content}, (), {path: before})
        return RecordedImage(id=one.id, image=image, files=(path,))


def _check_image(config: Config, one: RecordedEnvironment, image: str) -> None:
    expected = environments.name_image(config, one.id)
    if not expected:
        hint = "write to m2g.yaml: images: {registry: REGISTRY/NAME}"
        raise InputError("images.registry is not set, so no image of an environment can be recorded", hint=hint)
    place, _, digest = image.partition("@")
    if place not in (expected, expected.rpartition(":")[0]) or not _DIGEST.fullmatch(digest):
        raise InputError(
            f"{image[:200]!r} is not the image of {one.id} with its digest",
            hint=f"push it as {expected}, and record that name with its digest: "
            f"m2g environments record {one.id} {expected}@sha256:…",
        )
    recorded = one.environment.image
    if recorded and recorded.partition("@")[2] != digest:
        raise InputError(
            f"{one.id} has the image {recorded} already, and an environment never changes",
            hint="the first image that was pushed counts; use the recorded one",
        )


def _find(repository: Repository, name: str) -> RecordedEnvironment:
    refuse_unknown("serving environment", [name], list(repository.environments))
    return repository.environments[name]


def _describe(root: Path, one: RecordedEnvironment, users: tuple[Key, ...]) -> EnvironmentRow:
    environment = one.environment
    return EnvironmentRow(
        id=one.id,
        python=environment.python,
        server=environment.server,
        base=environment.base,
        platforms=environment.platforms,
        group=environment.group,
        model=environment.model,
        packages=len(one.packages),
        image=environment.image,
        added=git.find_added(root, layout.environment_record(one.id)),
        releases=tuple(f"{slug} ({place})" for slug, place in users),
    )


def _describe_planned(one: RecordedEnvironment, versions: tuple[str, ...], alone: str = "") -> PlannedEnvironment:
    environment = one.environment
    return PlannedEnvironment(
        id=one.id,
        python=environment.python,
        server=environment.server,
        base=environment.base,
        group=environment.group,
        model=environment.model,
        alone=alone,
        packages=len(one.packages),
        requirements=environment.requirements,
        versions=versions,
    )


def _make_result(
    repository: Repository,
    planned: EnvironmentPlan,
    refused: list[Unplanned],
    options: PlanOptions,
    files: tuple[str, ...],
) -> PlanResult:
    users = () if options.repack else list_users(repository)
    used = {*planned.joins, *(one.recorded.id for one in planned.new), *users}
    # A plan from the beginning may find the lock of a recorded environment again: that one has an image already.
    again = {one.recorded.id: one.versions for one in planned.new if one.recorded.id in repository.environments}
    return PlanResult(
        joins=tuple(
            JoinedEnvironment(id=name, image=repository.environments[name].environment.image, versions=versions)
            for name, versions in sorted({**planned.joins, **again}.items())
        ),
        new=tuple(
            _describe_planned(one.recorded, one.versions, one.alone)
            for one in planned.new
            if one.recorded.id not in again
        ),
        apart=tuple(KeptApart(versions=one.versions, others=one.others, why=one.why) for one in planned.apart),
        unplanned=tuple(
            UnplannedVersions(versions=one.versions, message=one.message, hint=one.hint)
            for one in (*refused, *planned.unplanned)
        ),
        unused=tuple(sorted(set(repository.environments) - used)),
        files=files,
        written=options.write and bool(files),
    )


def _list_written(to: Path) -> tuple[str, ...]:
    content = output_folder.read_marker(to, MARKER)
    try:
        return () if content is None else decode_environment_marker(content).files
    except msgspec.MsgspecError:
        return ()
