"""Check the files of serving environments: they are exactly what their records render to, and nothing else is there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from m2g import kustomize
from m2g.compat.runtime import Runtime
from m2g.core import safe_files
from m2g.core.config_types import Config
from m2g.core.errors import M2gError, restore_command
from m2g.core.finding import Finding
from m2g.core.serving_environment import RecordedEnvironment
from m2g.core.stamp import is_same
from m2g.rendering.environment_files import render_environment
from m2g.repository import layout, ownership, shared_files
from m2g.serving.environment_runtime import name_runtime
from m2g.serving.environments import describe_runtime


def check_environments(
    root: Path, config: Config | None, recorded: Mapping[str, RecordedEnvironment]
) -> Iterator[Finding]:
    """A finding for each file that an engine may read and that is not what the record renders to."""
    present = set(shared_files.find_environment_files_at(root))
    for path in sorted(path for path in present if not layout.is_known(path)):
        yield ownership.describe_unknown_file(path, remove=path)
    if config is None:
        return
    wanted: dict[str, bytes] = {}
    for one in recorded.values():
        wanted |= render_environment(config, one)
    missing: dict[str, list[str]] = {}
    for path in sorted({*wanted, *filter(layout.is_owned, present)}):
        name = layout.parse_environment_path(path)
        if path not in wanted and name not in recorded and _is_of_record(path):
            continue  # the reader of records reports it
        if path not in present:
            missing.setdefault(name, []).append(path)
        elif message := _compare(root, path, wanted.get(path)):
            yield _stale(path, message)
    for paths in missing.values():
        more = f", with {len(paths) - 1} more of this serving environment" if len(paths) > 1 else ""
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
    if wanted is None:
        return "is not among the files that the record of the serving environment renders to"
    if (root / path).is_symlink() or not is_same(content, wanted):
        return "is not what the record of the serving environment renders to"
    return ""
