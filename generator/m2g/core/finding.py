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


class Since(msgspec.Struct, frozen=True, kw_only=True):
    """The InferenceServices of the overlays that have changed since the commit `base`: those before and those after.

    Each is `environment/namespace/name`. `allowed` is how many may go in the whole fleet.
    """

    base: str
    allowed: int
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What a report of one part of a fleet is about: only reports of the same become one, which then judges the fleet.

    `m2g` and `tree` are digests of what judged and what was judged, `models` and `environments` what the run was
    narrowed to. `unused` are findings that hold where every part has them.
    """

    m2g: str
    tree: str
    models: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    unused: tuple[Finding, ...] = ()
    since: Since | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The result of `m2g validate`: every finding, sorted, what was checked, and the folders that were built.

    `shard` is the part of the fleet that was looked at, such as `2/8`, and `part` what `m2g merge` must know of it;
    empty for all of it.
    """

    findings: tuple[Finding, ...] = ()
    checked: Checked = Checked()
    built: tuple[str, ...] = ()
    shard: str = ""
    part: Part | None = None
