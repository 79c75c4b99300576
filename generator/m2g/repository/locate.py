"""Find the line of a field in a YAML file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from m2g.core import safe_files
from m2g.core.errors import M2gError
from m2g.core.field_path import FieldPath, parse_path
from m2g.core.finding import Finding
from m2g.core.yaml_reader import Document, read


def add_lines(root: Path, findings: Iterable[Finding]) -> list[Finding]:
    """The findings, with the line of their path for files such as m2g.yaml and model.yaml."""
    return [
        msgspec.structs.replace(finding, line=find_line(root, finding.file, parse_path(finding.path)))
        if finding.file.endswith(".yaml") and finding.path and not finding.line
        else finding
        for finding in findings
    ]


def find_line(root: Path, file: str, path: FieldPath) -> int:
    """The line of a field in a file, starting at 1; 0 if the file cannot be read."""
    document = read_document(root, file)
    return document.find_line(path) if document is not None else 0


def read_document(root: Path, file: str) -> Document | None:
    """The YAML document in a file, or None if it cannot be read."""
    try:
        return read(file, safe_files.read(root, file))
    except (FileNotFoundError, M2gError):
        return None
