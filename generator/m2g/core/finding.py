"""A finding: one problem, where to fix it, and how."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


class Finding(msgspec.Struct, frozen=True, kw_only=True, rename="camel", order=True):
    """`file` is relative to the repository's root, with `/`. `line` starts at 1; 0 means unknown.

    `path` is the field in the file or the built object, such as `spec.predictor.minReplicas`.
    `rule` is a stable code in kebab-case (docs/reference/findings.md).
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
    """How much was validated, so that "nothing checked" differs from "nothing found"."""

    models: int = 0
    overlays: int = 0
    objects: int = 0
    files: int = 0
    undecided: tuple[str, ...] = ()
    """CRD rules that m2g could not evaluate."""
    bounds: str = ""
    """Whose `sync.bounds` applied; empty for the defaults."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The result of `m2g validate`: all findings, sorted, how much was checked, and the overlays that were built.

    `shard` is the checked shard of the fleet, such as `2/8`; empty for the whole fleet. `heading` is the name of what
    was checked, for findings about no model.
    """

    findings: tuple[Finding, ...] = ()
    checked: Checked = Checked()
    built: tuple[str, ...] = ()
    shard: str = ""
    heading: str = "repository"
