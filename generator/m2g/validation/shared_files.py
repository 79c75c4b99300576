"""Check the files that belong to no model: they are exactly what m2g renders, and nothing else is there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from msgspec import UNSET

from m2g import kustomize
from m2g.compat.runtime import Runtime
from m2g.core import safe_files
from m2g.core.config_types import Config
from m2g.core.errors import M2gError, restore_command
from m2g.core.finding import Finding
from m2g.core.serving_environment import RecordedEnvironment
from m2g.core.stamp import is_same
from m2g.rendering.environment_files import render_environment
from m2g.rendering.platform_install import render_platform
from m2g.repository import layout, ownership, shared_files
from m2g.serving.environment_runtime import name_runtime
from m2g.serving.environments import describe_runtime


def check_shared_files(
    root: Path, config: Config | None, recorded: Mapping[str, RecordedEnvironment]
) -> Iterator[Finding]:
    """A finding for each file that an engine may read and that is not what m2g renders."""
    installs = config is not None and config.platform is not UNSET
    present = set(shared_files.find_shared_files(root, install=installs))
    for path in sorted(path for path in present if not layout.is_known(path)):
        yield ownership.describe_unknown_file(path, remove=path)
    if config is None:
        return
    wanted: dict[str, bytes] = {}
    for one in recorded.values():
        wanted |= render_environment(config, one)
    wanted |= render_platform(config)
    missing: dict[str, list[str]] = {}
    for path in sorted({*wanted, *filter(layout.is_owned, present)}):
        name = layout.parse_environment_path(path)
        if path not in wanted and name not in recorded and _is_of_record(path):
            continue  # the reader of records reports it
        if path not in present:
            missing.setdefault(name, []).append(path)
        elif message := _compare(root, path, wanted.get(path)):
            yield _stale(path, message)
    for name, paths in missing.items():
        group = "this serving environment" if name else layout.INSTALL
        more = f", with {len(paths) - 1} more of {group}" if len(paths) > 1 else ""
        yield _stale(paths[0], f"is missing{more}")


def _stale(path: str, message: str) -> Finding:
    hint = f"run `m2g render --locked`, or restore it: {restore_command(path)}"
    return Finding(rule="stale-file", file=path, message=message, hint=hint)


def list_runtimes(recorded: Iterable[RecordedEnvironment]) -> list[Runtime]:
    """The ServingRuntimes of the environments, with all packages in their images, for the gate."""
    return [describe_runtime(one, name_runtime(one)) for one in recorded]


def read_runtimes(root: Path, recorded: Iterable[str]) -> list[kustomize.RawFile]:
    """The ServingRuntimes on disk."""
    files = (layout.environment_runtime(name) for name in recorded)
    return [kustomize.read_file(root, file) for file in files if (root / file).is_file()]


def _is_of_record(path: str) -> bool:
    name = layout.parse_environment_path(path)
    return path in (layout.environment_record(name), layout.environment_lock(name))


def _compare(root: Path, path: str, wanted: bytes | None) -> str:
    """What is wrong with a file; empty if it is as it should be."""
    try:
        content = safe_files.read(root, path)
    except FileNotFoundError:
        return "is a broken symlink"
    except M2gError as error:
        return error.message.removeprefix(f"{path} ")
    source = f"platform in {layout.CONFIG}" if layout.is_install(path) else "the record of the serving environment"
    if wanted is None:
        return f"is not among the files that {source} renders to"
    if (root / path).is_symlink() or not is_same(content, wanted):
        return f"is not what {source} renders to"
    return ""
