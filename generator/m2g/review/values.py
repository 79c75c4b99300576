"""What a reviewer must know, as values that the reports show."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from m2g.core.manifest import Manifest
from m2g.core.model import Release, Value
from m2g.core.results import ChangeKind
from m2g.repository.layout import Key
from m2g.serving.spec import ServingChoice


class Overlay(Value, frozen=True, kw_only=True):
    """What an overlay builds to, or the `error` if it does not build. `chosen` is how the model is served, if known.

    `written` is what m2g itself writes; if `custom`, a component of people may change it.
    """

    objects: tuple[Manifest, ...] = ()
    error: str = ""
    chosen: ServingChoice | None = None
    written: tuple[Manifest, ...] = ()
    custom: bool = False


class Side(Value, frozen=True, kw_only=True):
    """One of the two states of the fleet. If only some overlays were built, both sides have the same keys."""

    releases: Mapping[Key, Release] = {}
    overlays: Mapping[Key, Overlay] = {}


class Risk(StrEnum):
    """How much attention a change needs, the most first."""

    POWERFUL = "powerful"
    """The change can decide what runs, as whom, on what data or for whom, or what others may do, or what m2g checks."""
    BREAKING = "breaking"
    """Callers or the cluster may break."""
    CAUTION = "caution"
    """The change is unusual; a reviewer should look at it."""
    ROUTINE = "routine"
    """Only what the record of a new version itself wrote changes."""


class Compatibility(StrEnum):
    """Whether callers of the old version can call the new one."""

    COMPATIBLE = "compatible"
    ADDITIVE = "additive"
    BREAKING = "breaking"
    UNKNOWN = "unknown"
    """Neither version has a signature."""


class Contract(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The verdict on a changed signature, and every difference behind it, the breaking ones first."""

    verdict: Compatibility
    reasons: tuple[str, ...] = ()


class FactChange(Value, frozen=True, kw_only=True, omit_defaults=False):
    """One fact that changed; a missing value is empty."""

    name: str
    before: str = ""
    after: str = ""


class Metric(Value, frozen=True, kw_only=True, omit_defaults=False):
    """One metric of both versions; `delta` is after minus before if both are numbers."""

    name: str
    before: float | str | None = None
    after: float | str | None = None
    delta: float | None = None


class ObjectChange(Value, frozen=True, kw_only=True, omit_defaults=False):
    """One built object; `diff` has the lines of a unified diff of its YAML, without values of Secrets."""

    kind: ChangeKind
    api_version: str
    object_kind: str
    namespace: str
    name: str
    diff: tuple[str, ...] = ()


class Concern(Value, frozen=True, kw_only=True, omit_defaults=False):
    """Something that a reviewer should know about a change."""

    risk: Risk
    message: str


class Change(Value, frozen=True, kw_only=True, omit_defaults=False):
    """What changed for one model in one environment. A missing version is empty."""

    kind: ChangeKind
    risk: Risk
    slug: str
    model: str
    environment: str
    before: str = ""
    after: str = ""
    concerns: tuple[Concern, ...] = ()
    contract: Contract | None = None
    metrics: tuple[Metric, ...] = ()
    params: tuple[FactChange, ...] = ()
    lineage: tuple[FactChange, ...] = ()
    objects: tuple[ObjectChange, ...] = ()


class Review(Value, frozen=True, kw_only=True, omit_defaults=False):
    """All changes, the riskiest first. `outside` says what changed in other files, `files` are all files that belong to
    no change of a model; `notes` say what is not compared."""

    against: str
    outside: tuple[Concern, ...] = ()
    changes: tuple[Change, ...] = ()
    files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
