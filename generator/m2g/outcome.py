"""What render and image did or would do, as values that a report can show."""

from __future__ import annotations

from enum import StrEnum

from m2g.finding import Finding
from m2g.model import Value


class Kind(StrEnum):
    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


class ReleaseChange(Value, frozen=True, kw_only=True, omit_defaults=False):
    """One model in one environment moved; a version is empty where there is none."""

    kind: Kind
    slug: str
    model: str
    environment: str
    before: str = ""
    after: str = ""
    follows: str = ""


class Served(Value, frozen=True, kw_only=True, omit_defaults=False):
    """How one release is served, and why; `before` is another profile that served it until now, else empty."""

    slug: str
    model: str
    environment: str
    profile: str
    protocol: str
    reason: str
    before: str = ""


class FileChange(Value, frozen=True, kw_only=True, omit_defaults=False):
    """One file of the tree; `diff` are unified diff lines, only where they were asked for."""

    kind: Kind
    path: str
    diff: tuple[str, ...] = ()


class Outcome(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The result of `m2g render`. `written` is false for --check and --dry-run."""

    releases: tuple[ReleaseChange, ...] = ()
    served: tuple[Served, ...] = ()
    files: tuple[FileChange, ...] = ()
    findings: tuple[Finding, ...] = ()
    models: int = 0
    written: bool = False
    check: bool = False


class Prepared(Value, frozen=True, kw_only=True, omit_defaults=False):
    """A build context: what it is for, where it is, its files, and what a person should know."""

    model: str
    slug: str
    environment: str
    version: str
    profile: str
    base: str
    folder: str
    files: tuple[str, ...]
    notes: tuple[str, ...]
    written: bool


class Waiting(Value, frozen=True, kw_only=True, omit_defaults=False):
    """A version that has no image for its profile yet, and the environments that wait for it."""

    model: str
    slug: str
    version: str
    profile: str
    environments: tuple[str, ...]


class Missing(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The versions that wait for an image, by slug."""

    missing: tuple[Waiting, ...] = ()
