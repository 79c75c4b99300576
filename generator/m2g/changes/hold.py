"""Write a hold into model.yaml and an earlier record into its place, then render what follows from them."""

from __future__ import annotations

import datetime
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import UNSET

from m2g.changes import write
from m2g.changes.update import RenderOptions, update
from m2g.core import safe_files
from m2g.core.config_types import Config, Pin
from m2g.core.errors import M2gError
from m2g.core.finding import Finding, Severity
from m2g.core.model import Value
from m2g.core.yaml_writer import Plain
from m2g.registry import Registry
from m2g.repository import layout
from m2g.repository.edit import edit_file
from m2g.repository.layout import Key
from m2g.repository.state import Scope
from m2g.repository.yaml_edit import Edit, Remove, Set

_FIELDS = ("version", "reason", "owner", "until")


class HoldNote(Value, frozen=True, kw_only=True):
    """What a hold says beside its version. What is not given stays as it is."""

    reason: str = ""
    owner: str = ""
    until: datetime.date | None = None


class ModelChange(msgspec.Struct, frozen=True, kw_only=True):
    """Edits of model.yaml, and the content of the release record if that changes.

    `asks` renders from the registry. Then an error about the model undoes the edits.
    """

    edits: Sequence[Edit]
    record: bytes | None = None
    asks: bool = False


class Applied(Value, frozen=True, kw_only=True):
    """The files that changed, and what render found."""

    files: tuple[str, ...]
    findings: tuple[Finding, ...]


def list_hold_edits(environment: str, version: str, note: HoldNote) -> list[Edit]:
    """The edits of model.yaml that hold a version."""
    until = "" if note.until is None else note.until.isoformat()
    fields: dict[str, Plain] = {"version": int(version), "reason": note.reason, "owner": note.owner, "until": until}
    return [Set(path=("environments", environment, name), value=value) for name, value in fields.items() if value]


def list_end_edits(environment: str, pin: Pin) -> list[Edit]:
    """The edits of model.yaml that end a hold. Settings and known bad versions stay."""
    given = [name for name in _FIELDS if getattr(pin, name) is not UNSET]
    return [Remove(path=("environments", environment, name)) for name in given]


def apply(
    root: Path,
    key: Key,
    wanted: ModelChange,
    *,
    open_registry: Callable[[Config], Registry],
    waiting: Callable[[], None] = lambda: None,
) -> Applied:
    """Edit model.yaml, write the record if one is given, and render the model, from the records or the registry.

    If anything fails, both files are as before.
    Raises the errors of `edit_file` and of `update`.
    """
    slug, environment = key
    intent, place = layout.model_yaml(slug), layout.release(*key)
    with write.lock_repository(root, waiting=waiting):
        before = {path: _read(root, path) for path in (intent, place)}
        try:
            changed = [intent] if wanted.edits and edit_file(root, intent, wanted.edits) else []
            if wanted.record is not None and wanted.record != before[place]:
                (root / place).parent.mkdir(parents=True, exist_ok=True)
                safe_files.write_atomic(root, place, wanted.record, before=before[place])
                changed.append(place)
        except M2gError:
            _restore(root, before)
            raise
    try:
        rendered = update(
            root,
            RenderOptions(
                locked=not wanted.asks,
                scope=Scope(models=frozenset({slug}), environments=frozenset({environment})),
            ),
            open_registry=open_registry,
            waiting=waiting,
        )
    except M2gError:
        _restore(root, before)
        raise
    if wanted.asks and any(finding.severity is Severity.ERROR for finding in rendered.findings):
        _restore(root, before)
        return Applied(files=(), findings=rendered.findings)
    files = dict.fromkeys((*changed, *(file.path for file in rendered.files)))
    return Applied(files=tuple(sorted(files)), findings=rendered.findings)


def list_next_steps(key: Key, files: Sequence[str], message: str) -> tuple[str, ...]:
    """The commands that commit the files."""
    if not files:
        return ()
    folders = dict.fromkeys(layout.model(key[0]) if path.startswith(f"{layout.MODELS}/") else path for path in files)
    return (
        "m2g validate",
        f"git add {shlex.join(folders)}",
        f"git commit --message {shlex.quote(message)}",
    )


def _read(root: Path, path: str) -> bytes | None:
    try:
        return safe_files.read(root, path)
    except FileNotFoundError:
        return None


def _restore(root: Path, before: Mapping[str, bytes | None]) -> None:
    for path, content in before.items():
        now = _read(root, path)
        if content is not None and now != content:
            safe_files.write_atomic(root, path, content, before=now)
        elif content is None and now is not None:
            (root / path).unlink()
