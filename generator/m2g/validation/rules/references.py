"""What an InferenceService refers to by name must be built with it, declared in m2g.yaml, or part of KServe."""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import UNSET

from m2g.core.manifest import get_at
from m2g.core.schema_errors import Violation
from m2g.validation.rules.containers import INFERENCE_SERVICE, RUNTIMES, Place
from m2g.validation.rules.rule import CheckedObject, Rule

_ACCOUNT, _CONFIG, _SECRET, _RUNTIME = "ServiceAccount", "ConfigMap", "Secret", "ServingRuntime"
_FIELDS = {
    _ACCOUNT: "serviceAccounts",
    _RUNTIME: "servingRuntimes",
    _CONFIG: "configMaps",
    _SECRET: "secrets",
}
_MAKERS = {_SECRET: ("ExternalSecret", "SealedSecret")}
"""Kinds that create an object with their own name in the cluster."""
_STOCK = frozenset(
    f"kserve-{name}"
    for name in (
        *("mlserver", "sklearnserver", "xgbserver", "lgbserver", "predictiveserver", "autogluonserver", "pmmlserver"),
        *("paddleserver", "tritonserver", "tensorflow-serving", "torchserve", "huggingfaceserver", "vllmserver"),
        *("huggingfaceserver-multinode", "llm-sglang"),
    )
)
_HASHED = re.compile(r"-[0-9a-z]{10}")
"""The hash that a configMapGenerator or secretGenerator appends to a name."""


def _references(obj: CheckedObject) -> Iterator[tuple[str, Place]]:
    """(kind, place of the name) of every reference that is not optional."""
    for pod in obj.pods:
        yield _ACCOUNT, (*pod, "serviceAccountName")
        yield from ((_SECRET, (*place, "name")) for place in obj.places(*pod, "imagePullSecrets"))
        for volume in obj.places(*pod, "volumes"):
            yield from _volume(obj, volume)
    for here in obj.predictors:
        yield _RUNTIME, (*here, "model", "runtime")
    for place in obj.variables:
        if obj.at(*place, "valueFrom") is not None:
            yield from _optional(obj, _CONFIG, (*place, "valueFrom", "configMapKeyRef"))
            yield from _optional(obj, _SECRET, (*place, "valueFrom", "secretKeyRef"))
    for container in obj.containers:
        for place in obj.places(*container, "envFrom"):
            yield from _optional(obj, _CONFIG, (*place, "configMapRef"))
            yield from _optional(obj, _SECRET, (*place, "secretRef"))
    yield _SECRET, ("metadata", "annotations", "serving.kserve.io/storageSecretName")


def _volume(obj: CheckedObject, volume: Place) -> Iterator[tuple[str, Place]]:
    yield from _optional(obj, _CONFIG, (*volume, "configMap"))
    yield from _optional(obj, _SECRET, (*volume, "secret"), "secretName")
    for source in obj.places(*volume, "projected", "sources"):
        yield from _optional(obj, _CONFIG, (*source, "configMap"))
        yield from _optional(obj, _SECRET, (*source, "secret"))


def _optional(obj: CheckedObject, kind: str, place: Place, key: str = "name") -> Iterator[tuple[str, Place]]:
    if obj.at(*place, "optional") is not True:
        yield kind, (*place, key)


def _names(obj: CheckedObject, kind: str) -> set[object]:
    """The names of this kind that the overlay builds, or that one of its objects creates."""
    kinds = (*(RUNTIMES if kind == _RUNTIME else (kind,)), *_MAKERS.get(kind, ()))
    return {get_at(item, "metadata", "name") for item in obj.overlay or () if item.get("kind") in kinds}


def _check_exists(obj: CheckedObject) -> Iterator[Violation]:
    declared = {
        _ACCOUNT: obj.external.service_accounts,
        _RUNTIME: obj.external.serving_runtimes,
        _CONFIG: obj.external.config_maps,
        _SECRET: obj.external.secrets,
    }
    for kind, place in _references(obj) if obj.overlay is not None else ():
        name, known = obj.text(*place), declared[kind]
        if not name or known is UNSET or name in known:
            continue
        if (kind == _RUNTIME and name in _STOCK) or (kind == _ACCOUNT and name == "default"):
            continue
        if name in _names(obj, kind):
            continue
        if not _generated(obj, kind, name):
            message = f"is {name!r}, but no such {kind} is built here or declared in m2g.yaml"
            hint = f"if the cluster has it, add it to external.{_FIELDS[kind]} in m2g.yaml; if not, correct the name"
            yield Violation(where=place, message=message, hint=hint)


def _check_hashed(obj: CheckedObject) -> Iterator[Violation]:
    for kind, place in _references(obj):
        name = obj.text(*place)
        made = _generated(obj, kind, name) if name else ""
        if made:
            yield Violation(where=place, message=f"is {name!r}, but the built {kind} is named {made}")


def _generated(obj: CheckedObject, kind: str, name: str) -> str:
    """The name of the built object that a generator gave this name and a hash; empty for none."""
    if kind not in (_CONFIG, _SECRET):
        return ""
    names = {str(built) for built in _names(obj, kind)}
    if name in names:
        return ""
    return next((made for made in sorted(names) if made.startswith(name) and _HASHED.fullmatch(made[len(name) :])), "")


RULES = (
    Rule(
        id="reference-exists",
        covers=("L21",),
        kinds=(INFERENCE_SERVICE, *RUNTIMES),
        summary="A referenced object is built here, declared in m2g.yaml, or part of KServe.",
        why="KServe accepts a name that does not exist: then it finds no runtime, or the pod waits forever. m2g checks "
        "a kind only if external in m2g.yaml lists what the clusters have of it.",
        fix="add it to external in m2g.yaml, or correct the name",
        link="https://kserve.github.io/website/docs/concepts/resources/servingruntime",
        check=_check_exists,
    ),
    Rule(
        id="reference-generated",
        covers=("L21",),
        kinds=(INFERENCE_SERVICE, *RUNTIMES),
        summary="A reference to a generated ConfigMap or Secret uses the generated name.",
        why="kustomize appends a hash to the name and updates references in Kubernetes' own kinds, not in KServe's.",
        fix="set generatorOptions: {disableNameSuffixHash: true} in the kustomization",
        link="https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/configmapgenerator/",
        check=_check_hashed,
    ),
)
