"""What a reviewer must know, as values that a report can show."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from m2g.core.manifest import Manifest
from m2g.core.model import Release, Value
from m2g.core.results import ChangeKind
from m2g.repository.layout import Key
from m2g.serving.spec import Chosen


class Overlay(Value, frozen=True, kw_only=True):
    """What an overlay builds to; `error` says why it does not. `chosen` is how the model is served, where known."""

    objects: tuple[Manifest, ...] = ()
    error: str = ""
    chosen: Chosen | None = None


class Side(Value, frozen=True, kw_only=True):
    """One of the two states of the fleet. Both sides have the same keys where only some overlays were built."""

    releases: Mapping[Key, Release] = {}
    overlays: Mapping[Key, Overlay] = {}


class Risk(StrEnum):
    """How much attention a change needs; in order, the worst first."""

    BREAKING = "breaking"
    """Callers or the cluster may break."""
    CAUTION = "caution"
    """Unusual; somebody should look."""
    ROUTINE = "routine"


class Verdict(StrEnum):
    """Whether those who call the old version can call the new one."""

    COMPATIBLE = "compatible"
    ADDITIVE = "additive"
    BREAKING = "breaking"
    UNKNOWN = "unknown"
    """Neither version says what it takes and gives."""


class Contract(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The verdict on a signature, and every difference that led to it, the breaking ones first."""

    verdict: Verdict
    reasons: tuple[str, ...] = ()


class Moved(Value, frozen=True, kw_only=True, omit_defaults=False):
    """One fact that is not what it was; empty where there is none."""

    name: str
    before: str = ""
    after: str = ""


class Metric(Value, frozen=True, kw_only=True, omit_defaults=False):
    """One metric of both versions; `delta` is after minus before where both are numbers."""

    name: str
    before: float | str | None = None
    after: float | str | None = None
    delta: float | None = None


class ObjectChange(Value, frozen=True, kw_only=True, omit_defaults=False):
    """One built object; `diff` are the lines of a unified diff of its YAML, values of Secrets hidden."""

    kind: ChangeKind
    api_version: str
    object_kind: str
    namespace: str
    name: str
    diff: tuple[str, ...] = ()


class Concern(Value, frozen=True, kw_only=True, omit_defaults=False):
    """One reason for attention."""

    risk: Risk
    message: str


class Change(Value, frozen=True, kw_only=True, omit_defaults=False):
    """One model in one environment that is not what it was. A version is empty where there is none."""

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
    params: tuple[Moved, ...] = ()
    lineage: tuple[Moved, ...] = ()
    objects: tuple[ObjectChange, ...] = ()


class Review(Value, frozen=True, kw_only=True, omit_defaults=False):
    """All changes, the riskiest first. `files` are changed files that belong to no model; `notes` limit the answer."""

    against: str
    changes: tuple[Change, ...] = ()
    files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
