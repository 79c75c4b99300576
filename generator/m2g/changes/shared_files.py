"""Compare the files that belong to no model with those on disk: serving environments, platform/install."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import msgspec

from m2g.changes.compare import Difference, Permissions
from m2g.core import safe_files
from m2g.core.errors import InputError
from m2g.core.stamp import StampState, check_stamp, is_same
from m2g.rendering.environment_files import render_environment
from m2g.rendering.platform_install import render_platform
from m2g.repository import layout, shared_files
from m2g.repository.state import Repository


def add_shared_files(
    root: Path, repository: Repository, difference: Difference, permissions: Permissions
) -> Difference:
    """The difference with the files of the serving environments and of platform/install.

    `repository` has the releases after the run.

    Raises InputError if a write would lose a hand edit, or remove what a release uses.
    """
    wanted: dict[str, bytes] = {}
    for one in repository.environments.values():
        wanted |= render_environment(repository.config, one)
    wanted |= render_platform(repository.config)
    installs = repository.config.platform is not msgspec.UNSET
    current = dict(_read_current(root, wanted, installs=installs))
    changed = {path: text for path, text in wanted.items() if not is_same(current.get(path), text)}
    states = {path: check_stamp(content) for path, content in current.items()}
    removals = {path for path in current if path not in wanted and states[path] is not StampState.FOREIGN}
    gone = {layout.parse_environment_path(path) for path in removals} - set(repository.environments)
    lost = sorted(
        gone & {record.serving.environment for record in repository.records.values() if record.serving is not None}
    )
    if lost:
        raise InputError(
            f"releases use the serving environment {lost[0]}, but {layout.environment_record(lost[0])} is gone",
            hint=f"restore it: git checkout HEAD -- {layout.ENVIRONMENTS}/{lost[0]}",
        )
    edited = sorted(
        path for path in {*changed, *removals} & set(current) if states[path] in (StampState.EDITED, StampState.FOREIGN)
    )
    if edited and permissions.writes and not permissions.edits:
        raise InputError(
            f"nothing was written: {edited[0]} was edited by hand, but m2g owns it",
            hint=f"discard the edit: git checkout HEAD -- {edited[0]}",
        )
    return msgspec.structs.replace(
        difference,
        files=_join(changed, difference.files),
        removals=difference.removals | removals,
        current=_join({path: current[path] for path in {*changed, *removals} if path in current}, difference.current),
    )


def _join(first: dict[str, bytes], rest: Mapping[str, bytes]) -> Mapping[str, bytes]:
    """Both, without reading the files of a large fleet into memory."""
    return ChainMap(first, rest) if first else rest  # type: ignore[arg-type]  # nothing is written to the second


def _read_current(root: Path, wanted: Collection[str], *, installs: bool) -> Iterator[tuple[str, bytes]]:
    """m2g's own files on disk."""
    present = filter(layout.is_owned, shared_files.find_shared_files(root, install=installs))
    for path in sorted({*wanted, *present}):
        try:
            yield path, safe_files.read(root, path)
        except FileNotFoundError:
            continue
