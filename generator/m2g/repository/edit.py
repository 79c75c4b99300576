"""Edit m2g.yaml and model.yaml on disk: read, edit, check, write."""

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
    """Edit m2g.yaml or models/<slug>/model.yaml (relative to `root`), and return whether the file changed.

    Everything else in the file stays as it is, to the byte. A missing model.yaml is created. Hold the repository's lock
    (`m2g.changes.write.lock_repository`) if other m2g processes may edit the same file.

    Raises InputError for what `edit_yaml` and `refuse_new_findings` refuse, for a missing m2g.yaml, and for a symlink
    on the path. Raises OutsideError if the file cannot be read or written, or has changed since it was read. The file
    is unchanged in all these cases. Raises ValueError for any other file.
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
    refuse_new_findings(file, before or b"", after, _load_config(root))
    safe_files.write_atomic(root, file, after, before=before)
    return True


def refuse_new_findings(file: str, before: bytes, after: bytes, config: Config | None) -> None:
    """Raises InputError, in the words of the finding, if the edited file has a finding that it did not have before.

    Older findings do not block an edit. Some findings are hidden while a field has the wrong type. They do not block
    the edit that corrects the type. With `config`, a model.yaml may only name environments of m2g.yaml.
    """
    decoded_before, known = _find(file, before, config)
    decodes, found = _find(file, after, config)
    if decodes and not decoded_before:
        return
    counted = Counter(map(_identify, known))
    for finding in found:
        identity = _identify(finding)
        if not counted[identity]:
            place = f"{finding.path}: " if finding.path else ""
            message = f"{file} would become invalid: {place}{finding.message}"
            raise InputError(message, hint=finding.hint)
        counted[identity] -= 1


def _find(file: str, content: bytes, config: Config | None) -> tuple[bool, list[Finding]]:
    """Whether the file can be decoded, and its findings."""
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


def _identify(finding: Finding) -> tuple[str, str, str]:
    """What stays of a finding when its line or list index moves."""
    return finding.rule, _INDEX.sub("[]", finding.path), finding.message


def _load_config(root: Path) -> Config | None:
    try:
        return configuration.load(root).config
    except (InputError, FileNotFoundError):
        return None
