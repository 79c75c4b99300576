"""A finding: one thing that is wrong, where a person can change it, and what to do."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


class Finding(msgspec.Struct, frozen=True, kw_only=True, rename="camel", order=True):
    """`file` is relative to the repository's root with `/`; `line` counts from 1, 0 is unknown.

    `path` is the place inside the file or the built object, such as `spec.predictor.minReplicas`.
    `rule` is a stable id (kebab-case), documented in docs/reference/findings.md.
    """

    file: str = ""
    line: int = 0
    rule: str
    severity: Severity = Severity.ERROR
    message: str
    hint: str = ""
    path: str = ""
    model: str = ""
    environment: str = ""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """How much a validation has looked at, so that silence can be told from success."""

    models: int = 0
    overlays: int = 0
    objects: int = 0
    files: int = 0
    undecided: tuple[str, ...] = ()
    """Rules of CRDs that could not be evaluated here."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The result of `m2g validate`: every finding, sorted, what was checked, and the folders that were built.

    `shard` is the part of the fleet that was looked at, such as `2/8`; empty for all of it.
    """

    findings: tuple[Finding, ...] = ()
    checked: Checked = Checked()
    built: tuple[str, ...] = ()
    shard: str = ""
