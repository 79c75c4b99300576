"""Edits of the files that people write, m2g.yaml and models/<slug>/model.yaml: read, edit, check, write."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from m2g.core import safe_files
from m2g.core.config_types import Config
from m2g.core.errors import InputError
from m2g.core.finding import Finding
from m2g.repository import config as configuration
from m2g.repository import layout
from m2g.repository.yaml_edit import Edit, edit_yaml

_INDEX = re.compile(r"\[\d+\]")


def edit_file(root: Path, file: str, edits: Sequence[Edit]) -> bool:
    """Edit m2g.yaml or models/<slug>/model.yaml (relative to `root`). Says whether the file has changed.

    The text stays as it is everywhere else (`m2g.repository.yaml_edit`). A model.yaml that does not exist is made.

    Raises InputError for what `edit_yaml` and `refuse_new_findings` refuse, for an m2g.yaml that does not exist, and
    for a symlink in the way. Raises OutsideError where the file cannot be read or written, or somebody else changed it
    meanwhile. The file is as it was then. Raises ValueError for any other file.
    """
    try:
        before = safe_files.read(root, file)
    except FileNotFoundError:
        if file == layout.CONFIG:
            raise InputError(f"{root} has no {file}", hint="make a repository with `m2g init DIR`") from None
        before = None
    after = edit_yaml(file, before or b"", edits)
    if after == (before or b""):
        return False
    refuse_new_findings(file, before or b"", after, _config(root))
    safe_files.write_atomic(root, file, after, before=before)
    return True


def refuse_new_findings(file: str, before: bytes, after: bytes, config: Config | None) -> None:
    """Raises InputError, in the words of the finding, where the edited file has one that it did not have before.

    Findings that were there already are no reason to refuse an edit. In m2g.yaml, some are looked for only once all
    fields are of the right type: those do not count against an edit that makes them so. With `config` (m2g.yaml), a
    model.yaml may name its environments alone.
    """
    could_be_read, known = _findings(file, before, config)
    can_be_read, found = _findings(file, after, config)
    if can_be_read and not could_be_read:
        return
    counted = Counter(map(_identity, known))
    for finding in found:
        identity = _identity(finding)
        if not counted[identity]:
            place = f"{finding.path}: " if finding.path else ""
            message = f"{file} would become invalid: {place}{finding.message}"
            raise InputError(message, hint=finding.hint)
        counted[identity] -= 1


def _findings(file: str, content: bytes, config: Config | None) -> tuple[bool, list[Finding]]:
    """Whether the file becomes a value, and what is wrong in it."""
    if file == layout.CONFIG:
        loaded = configuration.parse(content)
        return loaded.config is not None, list(loaded.findings)
    place = layout.parse_path(file)
    if place is None or file != layout.model_yaml(place.slug):
        raise ValueError(f"{file} is neither {layout.CONFIG} nor a model.yaml")
    intent, findings = configuration.parse_intent(file, content)
    if intent is not None and config is not None:
        findings += configuration.find_unknown_environments(config, {place.slug: intent})
    return intent is not None, findings


def _identity(finding: Finding) -> tuple[str, str, str]:
    """The finding wherever its line and its place in a list have moved to."""
    return finding.rule, _INDEX.sub("[]", finding.path), finding.message


def _config(root: Path) -> Config | None:
    try:
        return configuration.load(root).config
    except (InputError, FileNotFoundError):
        return None
