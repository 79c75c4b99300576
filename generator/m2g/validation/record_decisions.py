"""Check the decisions in release records that a change adds: each is the one that `auto` makes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from m2g.compat.runtime import Runtime
from m2g.core import safe_files
from m2g.core.config_types import Config
from m2g.core.errors import M2gError
from m2g.core.finding import Finding, Severity
from m2g.core.model import Release
from m2g.core.variants import find_same, list_versions
from m2g.git import read as git
from m2g.repository import config as configuration
from m2g.repository import layout, records
from m2g.repository.state import Repository
from m2g.serving.decide import choose_with_settings, resolve_serving
from m2g.serving.spec import write_redecide_command
from m2g.validation.base import BaseState


def check_decisions(root: Path, config: Config, runtimes: Sequence[Runtime], base: BaseState) -> Iterator[Finding]:
    """A warning for each changed record whose decision `auto` would not make now.

    A decision that an older m2g made stays: a record that has it at the base may change otherwise.
    """
    changed = {path: record for path in sorted(filter(layout.is_record, base.changed)) if (record := _read(root, path))}
    if not changed:
        return
    intents, _ = configuration.read_intents(root)
    repository = Repository(
        config=config, records={}, intents=intents, components=frozenset(), runtimes=tuple(runtimes)
    )
    content = git.read_files(root, git.list_files(root, base.tip, list(changed)))
    versions = [(path, one) for path, record in changed.items() for one in list_versions(record)]
    for path, record in versions:
        location = layout.parse_path(path)
        if location is None or record.environment not in config.environments or record.serving is None:
            continue
        old = find_same(_decode(content.get(path, b"")), record)
        same = old is not None and old.identity == record.identity
        if same and old is not None and old.serving is not None and _decides(old) == _decides(record):
            continue
        serving, problems = resolve_serving(repository, location.slug, record)
        if problems or record.serving.decided_from is None or not serving.is_automatic:
            continue
        schema = old.schema if same and old is not None else 2  # a migration keeps how the version was served
        asked = msgspec.structs.replace(record, schema=schema, serving=None)
        choice, _ = choose_with_settings(repository, asked, serving)
        if choice.profile != record.serving.profile:
            yield Finding(
                rule="serving-differs",
                severity=Severity.WARNING,
                file=path,
                model=record.model,
                environment=record.environment,
                message=f"the record says that auto chose {record.serving.profile} for version {record.version}; "
                f"this m2g chooses {choice.profile}: {choice.reason}",
                hint=f"decide it again: {write_redecide_command(record)}",
            )


def _decides(record: Release) -> tuple[object, ...]:
    decided = record.serving
    return () if decided is None else (decided.profile, decided.runtime, decided.environment, decided.decided_from)


def _read(root: Path, path: str) -> Release | None:
    try:
        return _decode(safe_files.read(root, path))
    except (M2gError, OSError):
        return None  # it was removed, or the check of records reports it


def _decode(content: bytes) -> Release | None:
    try:
        return records.decode(content)
    except (msgspec.DecodeError, RecursionError):
        return None
