"""What a rule is: a small value with a function from one object to its faults."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

import msgspec

from m2g.finding import Severity
from m2g.intent import KserveVersion
from m2g.manifest import Manifest, at

INFERENCE_SERVICE = "InferenceService"
COMPONENT = "Component"
COMPONENTS = ("predictor", "transformer", "explainer")
Place: TypeAlias = tuple[str | int, ...]


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """One built object, or one kustomization (its patches parsed, as `documents`), and what surrounds it.

    `overlay` is everything that the overlay builds to; None where it could not be built.
    """

    item: Manifest
    kserve: KserveVersion
    overlay: tuple[Manifest, ...] | None = None

    def at(self, *place: str | int) -> object:
        """The value at a place of the object; None where there is none."""
        return at(self.item, *place)

    def text(self, *place: str | int) -> str:
        """The text at a place; empty for anything else."""
        value = self.at(*place)
        return value if isinstance(value, str) else ""

    def number(self, *place: str | int) -> int | None:
        """The whole number at a place; None for anything else (its type is the schema's matter)."""
        value = self.at(*place)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def mapping(self, *place: str | int) -> Manifest:
        """The mapping at a place; empty for anything else."""
        value = self.at(*place)
        return value if isinstance(value, dict) else {}

    def items(self, *place: str | int) -> list[object]:
        """The list at a place; empty for anything else."""
        value = self.at(*place)
        return value if isinstance(value, list) else []

    @property
    def standard(self) -> bool:
        """Whether the object asks for the Standard mode, by the word of the target version."""
        return self.text("metadata", "annotations", MODE) == STANDARD[self.kserve]

    def components(self) -> Iterator[str]:
        """predictor, transformer, explainer: those that are there."""
        yield from (name for name in COMPONENTS if self.mapping("spec", name))


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What one rule found; `hint` where the fix depends on the case."""

    place: Place
    message: str
    hint: str = ""


Check: TypeAlias = Callable[[Subject], Iterable[Fault]]


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule. `kind` says which objects it is about; `why` is the source of the rule."""

    id: str
    summary: str
    fix: str
    check: Check
    kind: str = INFERENCE_SERVICE
    severity: Severity = Severity.ERROR
    why: str = ""


MODE = "serving.kserve.io/deploymentMode"
CLASS = "serving.kserve.io/autoscalerClass"
_OLD: tuple[KserveVersion, ...] = ("0.15",)
_NEW: tuple[KserveVersion, ...] = ("0.16", "0.17", "0.18", "0.19", "0.20", "0.21")
STANDARD: dict[KserveVersion, str] = dict.fromkeys(_OLD, "RawDeployment") | dict.fromkeys(_NEW, "Standard")
KNATIVE: dict[KserveVersion, str] = dict.fromkeys(_OLD, "Serverless") | dict.fromkeys(_NEW, "Knative")
