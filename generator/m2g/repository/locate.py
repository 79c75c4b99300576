"""The line of a place in a YAML file that people write."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from m2g.core import safe_files
from m2g.core.errors import M2gError
from m2g.core.finding import Finding
from m2g.core.manifest import place_of
from m2g.core.yaml_reader import Document, Place, read


def located(root: Path, findings: Iterable[Finding]) -> list[Finding]:
    """The findings about m2g.yaml and model.yaml with the line of their path."""
    return [
        msgspec.structs.replace(finding, line=line(root, finding.file, place_of(finding.path)))
        if finding.file.endswith(".yaml") and finding.path and not finding.line
        else finding
        for finding in findings
    ]


def line(root: Path, file: str, place: Place) -> int:
    """The line of a place in a file, from 1; 0 where there is none."""
    found = document(root, file)
    return found.line(place) if found is not None else 0


def document(root: Path, file: str) -> Document | None:
    """The YAML document in a file; None where it cannot be read."""
    try:
        return read(file, safe_files.read(root, file))
    except (FileNotFoundError, M2gError):
        return None
