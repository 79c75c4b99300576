"""A rule: a value with a function from one object to its violations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import TypeAlias

import msgspec

from m2g.compat.declared import Declaration
from m2g.compat.verdict import Verdict
from m2g.core.config_types import External, Knative
from m2g.core.finding import Severity
from m2g.core.manifest import Manifest
from m2g.core.model import Release
from m2g.core.schema_errors import Violation
from m2g.core.setting_fields import KserveVersion
from m2g.serving import stored
from m2g.validation.rules import containers
from m2g.validation.rules.containers import COMPONENTS, INFERENCE_SERVICE, Place

COMPONENT = "Component"
"""The kind of a hand-written kustomization, which is checked as an object."""
FLEET = "Fleet"
"""The kind of the object that describes what a change does to the whole repository (see `history`)."""
ANY: tuple[str, ...] = ()
"""The `kinds` of a rule for every built object."""


class CheckedObject(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One built object, or one kustomization with its patches parsed as `documents`, and its context.

    `overlay` is everything that the overlay builds to; None if it does not build. `before` is the same object at the
    merge base; None if there is none. `substituted` says that Flux replaces `${…}` in the objects of this repository.
    `verdict` says whether the runtime can load the model; None if the object uses no runtime. `public` are texts that
    m2g.yaml declares to be no secrets. `of_repository`: it is in
    a repository of m2g, where what a cluster's configuration could decide must be said.
    `declared` is what KServe's own runtimes declare. `shared`: other models use the kustomization, too.
    """

    manifest: Manifest
    kserve: KserveVersion
    knative: Knative = Knative()
    overlay: tuple[Manifest, ...] | None = None
    release: Release | None = None
    external: External = External()
    before: Manifest | None = None
    substituted: bool = False
    verdict: Verdict | None = None
    declared: Mapping[str, Declaration] = {}
    shared: bool = False
    of_repository: bool = True
    public: tuple[str, ...] = ()

    def at(self, *place: str | int) -> object:
        """The value at a place in the object; None if there is none."""
        node: object = self.manifest
        for step in place:  # m2g.core.manifest.at for plain data only: this runs hundreds of times for each object
            if type(node) is dict:
                node = node.get(step)
            elif type(node) is list and type(step) is int and step < len(node):
                node = node[step]
            else:
                return None
        return node

    def text(self, *place: str | int) -> str:
        """The string at a place; empty for anything else."""
        value = self.at(*place)
        return value if isinstance(value, str) else ""

    def number(self, *place: str | int) -> int | None:
        """The whole number at a place; None for anything else (the schema reports a wrong type)."""
        value = self.at(*place)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def mapping(self, *place: str | int) -> Manifest:
        """The mapping at a place, without keys that are not strings (the schema reports them); empty for all else."""
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
        """The places of the items of the list at a place."""
        return [(*place, index) for index in range(len(self.items(*place)))]

    @cached_property
    def standard(self) -> bool:
        """Whether the object uses Standard mode, by the name that the target KServe version has for it."""
        return self.text("metadata", "annotations", DEPLOYMENT_MODE) == STANDARD[self.kserve]

    @cached_property
    def components(self) -> list[str]:
        """The components that the object has: predictor, transformer, explainer."""
        return [name for name in COMPONENTS if self.mapping("spec", name)]

    @cached_property
    def pods(self) -> list[Place]:
        """The place of every mapping that has the fields of a pod spec."""
        return list(containers.pods(self.manifest))

    @cached_property
    def containers(self) -> list[Place]:
        """The place of every container: `model`, framework keys, `art`, containers and init containers."""
        return list(containers.containers(self.manifest))

    @cached_property
    def variables(self) -> list[Place]:
        """The place of every environment variable."""
        return list(containers.variables(self.manifest, self.containers))

    @cached_property
    def probes(self) -> list[Place]:
        """The place of every probe that is not empty."""
        return list(containers.probes(self.manifest, self.containers))

    @cached_property
    def differences(self) -> list[stored.Difference]:
        """Where Git differs from what the cluster stores of the object."""
        return stored.find_differences(self.manifest, self.kserve)

    @cached_property
    def all_text(self) -> str:
        """Every string of the object in one: what is not in here need not be searched place by place."""
        return containers.all_text(self.manifest)

    @cached_property
    def predictors(self) -> list[Place]:
        """The place of the stable predictor and of each canary's."""
        return [("spec", "predictor"), *((*place, "predictor") for place in self.places("spec", "canary"))]


Check: TypeAlias = Callable[[CheckedObject], Iterable[Violation]]


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule. `kinds` lists the kinds of objects that it applies to.

    `covers` lists the entries of the KServe reference behind it (V: the admission webhook refuses it, L: it breaks
    later). `fix` is the hint of a violation that has none. The rule's examples are in examples/<id>.yaml.
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

    def applies_to(self, kind: object) -> bool:
        """Whether the rule applies to objects of this kind."""
        return kind in self.kinds if self.kinds else kind not in (COMPONENT, FLEET)


DEPLOYMENT_MODE = "serving.kserve.io/deploymentMode"
AUTOSCALER_CLASS = "serving.kserve.io/autoscalerClass"
_OLD: tuple[KserveVersion, ...] = ("0.15",)
_NEW: tuple[KserveVersion, ...] = ("0.16", "0.17", "0.18", "0.19", "0.20", "0.21")
STANDARD: dict[KserveVersion, str] = dict.fromkeys(_OLD, "RawDeployment") | dict.fromkeys(_NEW, "Standard")
KNATIVE: dict[KserveVersion, str] = dict.fromkeys(_OLD, "Serverless") | dict.fromkeys(_NEW, "Knative")
VERSIONS: tuple[KserveVersion, ...] = (*_OLD, *_NEW)


def at_least(version: KserveVersion, minimum: KserveVersion) -> bool:
    """Whether a KServe version is `minimum` or newer."""
    return VERSIONS.index(version) >= VERSIONS.index(minimum)


WEBHOOK_SOURCE = "https://github.com/kserve/kserve/blob/master/pkg/apis/serving/v1beta1/inference_service_validation.go"
"""The source code of the admission webhook's checks."""


def issue_url(number: int, repository: str = "kserve/kserve") -> str:
    """The URL of a GitHub issue."""
    return f"https://github.com/{repository}/issues/{number}"
