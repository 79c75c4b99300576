"""What an InferenceService refers to by name: it is built with it, declared in m2g.yaml, or KServe's own."""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import UNSET

from m2g.core.manifest import get_at
from m2g.validation.rules.containers import INFERENCE_SERVICE, RUNTIMES, Place
from m2g.validation.rules.rule import Fault, Rule, Subject

_ACCOUNT, _CONFIG, _SECRET, _RUNTIME = "ServiceAccount", "ConfigMap", "Secret", "ServingRuntime"
_FIELDS = {
    _ACCOUNT: "serviceAccounts",
    _RUNTIME: "servingRuntimes",
    _CONFIG: "configMaps",
    _SECRET: "secrets",
}
_MAKERS = {_SECRET: ("ExternalSecret", "SealedSecret")}
"""Kinds that make an object of their name in the cluster."""
_STOCK = frozenset(
    f"kserve-{name}"
    for name in (
        *("mlserver", "sklearnserver", "xgbserver", "lgbserver", "predictiveserver", "autogluonserver", "pmmlserver"),
        *("paddleserver", "tritonserver", "tensorflow-serving", "torchserve", "huggingfaceserver", "vllmserver"),
        *("huggingfaceserver-multinode", "llm-sglang"),
    )
)
_HASHED = re.compile(r"-[0-9a-z]{10}")
"""What a configMapGenerator or secretGenerator adds to a name."""


def _references(subject: Subject) -> Iterator[tuple[str, Place]]:
    """(kind, place of the name) of every reference that is not optional."""
    for pod in subject.pods:
        yield _ACCOUNT, (*pod, "serviceAccountName")
        yield from ((_SECRET, (*place, "name")) for place in subject.places(*pod, "imagePullSecrets"))
        for volume in subject.places(*pod, "volumes"):
            yield from _volume(subject, volume)
    for here in subject.predictors:
        yield _RUNTIME, (*here, "model", "runtime")
    for place in subject.variables:
        if subject.at(*place, "valueFrom") is not None:
            yield from _optional(subject, _CONFIG, (*place, "valueFrom", "configMapKeyRef"))
            yield from _optional(subject, _SECRET, (*place, "valueFrom", "secretKeyRef"))
    for container in subject.containers:
        for place in subject.places(*container, "envFrom"):
            yield from _optional(subject, _CONFIG, (*place, "configMapRef"))
            yield from _optional(subject, _SECRET, (*place, "secretRef"))
    yield _SECRET, ("metadata", "annotations", "serving.kserve.io/storageSecretName")


def _volume(subject: Subject, volume: Place) -> Iterator[tuple[str, Place]]:
    yield from _optional(subject, _CONFIG, (*volume, "configMap"))
    yield from _optional(subject, _SECRET, (*volume, "secret"), "secretName")
    for source in subject.places(*volume, "projected", "sources"):
        yield from _optional(subject, _CONFIG, (*source, "configMap"))
        yield from _optional(subject, _SECRET, (*source, "secret"))


def _optional(subject: Subject, kind: str, place: Place, key: str = "name") -> Iterator[tuple[str, Place]]:
    if subject.at(*place, "optional") is not True:
        yield kind, (*place, key)


def _names(subject: Subject, kind: str) -> set[object]:
    """The names of this kind that the overlay builds to, or that something in it makes."""
    kinds = (*(RUNTIMES if kind == _RUNTIME else (kind,)), *_MAKERS.get(kind, ()))
    return {get_at(item, "metadata", "name") for item in subject.overlay or () if item.get("kind") in kinds}


def _exists(subject: Subject) -> Iterator[Fault]:
    declared = {
        _ACCOUNT: subject.external.service_accounts,
        _RUNTIME: subject.external.serving_runtimes,
        _CONFIG: subject.external.config_maps,
        _SECRET: subject.external.secrets,
    }
    for kind, place in _references(subject) if subject.overlay is not None else ():
        name, known = subject.text(*place), declared[kind]
        if not name or known is UNSET or name in known:
            continue
        if (kind == _RUNTIME and name in _STOCK) or (kind == _ACCOUNT and name == "default"):
            continue
        if name in _names(subject, kind):
            continue
        if not _generated(subject, kind, name):
            message = f"no {kind} {name!r} is built here or declared in m2g.yaml"
            hint = f"add it to external.{_FIELDS[kind]} in m2g.yaml if the cluster has it, or correct the name"
            yield Fault(place=place, message=message, hint=hint)


def _hashed(subject: Subject) -> Iterator[Fault]:
    for kind, place in _references(subject):
        name = subject.text(*place)
        made = _generated(subject, kind, name) if name else ""
        if made:
            yield Fault(place=place, message=f"is {name!r}, but what is built is called {made}")


def _generated(subject: Subject, kind: str, name: str) -> str:
    """The built object that a generator gave this name and a hash; empty for none."""
    if kind not in (_CONFIG, _SECRET):
        return ""
    names = {str(found) for found in _names(subject, kind)}
    if name in names:
        return ""
    return next((made for made in sorted(names) if made.startswith(name) and _HASHED.fullmatch(made[len(name) :])), "")


RULES = (
    Rule(
        id="reference-exists",
        covers=("L21",),
        kinds=(INFERENCE_SERVICE, *RUNTIMES),
        summary="What is referred to by name is built here, declared in m2g.yaml (external), or KServe's own.",
        why="KServe accepts a name that does not exist: no runtime is found, or the pod waits for ever. m2g checks a "
        "kind where m2g.yaml lists what the clusters have of it; without a list it cannot know.",
        fix="list it under external in m2g.yaml, or correct the name",
        link="https://kserve.github.io/website/docs/concepts/resources/servingruntime",
        check=_exists,
    ),
    Rule(
        id="reference-generated",
        covers=("L21",),
        kinds=(INFERENCE_SERVICE, *RUNTIMES),
        summary="A ConfigMap or Secret that kustomize generates is not referred to by its name without the hash.",
        why="kustomize adds a hash to the name and corrects references in Kubernetes' own kinds only, not in KServe's.",
        fix="set generatorOptions: {disableNameSuffixHash: true} in the kustomization",
        link="https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/configmapgenerator/",
        check=_hashed,
    ),
)
