"""What a rule is: a small value with a function from one object to its faults."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TypeAlias

import msgspec

from m2g.compat.verdict import Verdict
from m2g.core.config_types import External, KserveVersion
from m2g.core.finding import Severity
from m2g.core.manifest import Manifest
from m2g.core.model import Release
from m2g.validation.rules import containers
from m2g.validation.rules.containers import COMPONENTS, INFERENCE_SERVICE, Place

COMPONENT = "Component"
"""A kustomization that people wrote, as an object of this kind."""
FLEET = "Fleet"
"""What a change does to the whole repository, as an object of this kind (see `history`)."""
ANY: tuple[str, ...] = ()
"""As kinds: every built object."""


class Subject(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One built object, or one kustomization (its patches parsed, as `documents`), and what surrounds it.

    `overlay` is everything that the overlay builds to; None where it could not be built. `before` is the same object at
    the merge base, None without one. `substituted` says that Flux expands `${…}` in what this repository applies.
    `verdict` is the runtime's on the model; None where none is asked.
    """

    item: Manifest
    kserve: KserveVersion
    overlay: tuple[Manifest, ...] | None = None
    release: Release | None = None
    external: External = External()
    before: Manifest | None = None
    substituted: bool = False
    verdict: Verdict | None = None

    def at(self, *place: str | int) -> object:
        """The value at a place of the object; None where there is none."""
        node: object = self.item
        for step in place:  # m2g.core.manifest.at for plain data: it is asked hundreds of times for each object
            if type(node) is dict:
                node = node.get(step)
            elif type(node) is list and type(step) is int and step < len(node):
                node = node[step]
            else:
                return None
        return node

    def text(self, *place: str | int) -> str:
        """The text at a place; empty for anything else."""
        value = self.at(*place)
        return value if isinstance(value, str) else ""

    def number(self, *place: str | int) -> int | None:
        """The whole number at a place; None for anything else (its type is the schema's matter)."""
        value = self.at(*place)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def mapping(self, *place: str | int) -> Manifest:
        """The mapping at a place, without keys that are no text (the schema's matter); empty for anything else."""
        value = self.at(*place)
        if not isinstance(value, dict):
            return {}
        for key in value:
            if type(key) is not str:
                return {k: v for k, v in value.items() if isinstance(k, str)}
        return value

    def items(self, *place: str | int) -> list[object]:
        """The list at a place; empty for anything else."""
        value = self.at(*place)
        return value if isinstance(value, list) else []

    def places(self, *place: str | int) -> list[Place]:
        """The place of each item of the list at a place."""
        return [(*place, index) for index in range(len(self.items(*place)))]

    @cached_property
    def standard(self) -> bool:
        """Whether the object asks for the Standard mode, by the word of the target version."""
        return self.text("metadata", "annotations", MODE) == STANDARD[self.kserve]

    @cached_property
    def components(self) -> list[str]:
        """predictor, transformer, explainer: those that are there."""
        return [name for name in COMPONENTS if self.mapping("spec", name)]

    @cached_property
    def pods(self) -> list[Place]:
        """The place of everything that is, or holds the fields of, a pod's spec."""
        return list(containers.pods(self.item))

    @cached_property
    def containers(self) -> list[Place]:
        """The place of every container: `model`, framework keys, `art`, containers and init containers."""
        return list(containers.containers(self.item))

    @cached_property
    def variables(self) -> list[Place]:
        """The place of every environment variable."""
        return list(containers.variables(self.item, self.containers))

    @cached_property
    def probes(self) -> list[Place]:
        """The place of every probe that says anything."""
        return list(containers.probes(self.item, self.containers))

    @cached_property
    def words(self) -> str:
        """Every text of the object: what is not in here need not be looked for place by place."""
        return containers.words(self.item)

    @cached_property
    def predictors(self) -> list[Place]:
        """The place of the stable predictor and of each canary's."""
        return [("spec", "predictor"), *((*place, "predictor") for place in self.places("spec", "canary"))]


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What one rule found; `hint` where the fix depends on the case."""

    place: Place
    message: str
    hint: str = ""


Check: TypeAlias = Callable[[Subject], Iterable[Fault]]


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule. `kinds` says which objects it is about.

    `covers` are the entries of the KServe reference it stands for (V: the admission webhook, L: what breaks later).
    Its examples lie in examples/<id>.yaml.
    """

    id: str
    summary: str
    why: str
    fix: str
    link: str
    check: Check
    covers: tuple[str, ...] = ()
    kinds: tuple[str, ...] = (INFERENCE_SERVICE,)
    severity: Severity = Severity.ERROR

    def concerns(self, kind: object) -> bool:
        """Whether the rule is about objects of this kind."""
        return kind in self.kinds if self.kinds else kind not in (COMPONENT, FLEET)


MODE = "serving.kserve.io/deploymentMode"
CLASS = "serving.kserve.io/autoscalerClass"
_OLD: tuple[KserveVersion, ...] = ("0.15",)
_NEW: tuple[KserveVersion, ...] = ("0.16", "0.17", "0.18", "0.19", "0.20", "0.21")
STANDARD: dict[KserveVersion, str] = dict.fromkeys(_OLD, "RawDeployment") | dict.fromkeys(_NEW, "Standard")
KNATIVE: dict[KserveVersion, str] = dict.fromkeys(_OLD, "Serverless") | dict.fromkeys(_NEW, "Knative")
VERSIONS: tuple[KserveVersion, ...] = (*_OLD, *_NEW)


def since(version: KserveVersion, first: KserveVersion) -> bool:
    """Whether a KServe version is `first` or newer."""
    return VERSIONS.index(version) >= VERSIONS.index(first)


VALIDATION = "https://github.com/kserve/kserve/blob/master/pkg/apis/serving/v1beta1/inference_service_validation.go"
"""The admission webhook's rules."""


def issue(number: int, repository: str = "kserve/kserve") -> str:
    """The address of a public issue."""
    return f"https://github.com/{repository}/issues/{number}"
