"""Kustomize features in people's components that break custom resources, mostly without a word.

Tried with kustomize 5.5 and 5.8: lists of a custom resource are replaced whole by a strategic merge.
"""

from __future__ import annotations

from collections.abc import Iterator

from m2g.core.field_path import format_path
from m2g.core.finding import Severity
from m2g.core.manifest import get_at
from m2g.validation.rules.containers import INFERENCE_SERVICE
from m2g.validation.rules.rule import COMPONENT, Fault, Rule, Subject

_GROUP = "serving.kserve.io"
_KINDS = (INFERENCE_SERVICE, "ServingRuntime", "ClusterServingRuntime", "InferenceGraph", "LLMInferenceService")
_PATCHES = ("patches", "patchesStrategicMerge")


def _replicas(subject: Subject) -> Iterator[Fault]:
    services = _services(subject)
    for index, entry in enumerate(subject.items("replicas")):
        if services is None or get_at(entry, "name") in services:
            name = get_at(entry, "name")
            message = f"kustomize has no replicas for an InferenceService ({name!r}); the build fails"
            yield Fault(place=("replicas", index), message=message)


def _images(subject: Subject) -> Iterator[Fault]:
    used = {_repository(get_at(item, "spec", "predictor", "model", "image")) for item in subject.overlay or ()}
    for index, entry in enumerate(subject.items("images")):
        if get_at(entry, "name") in used:
            message = f"images: does not reach predictor.model.image ({get_at(entry, 'name')}); nothing is changed"
            yield Fault(place=("images", index), message=message)


def _affixes(subject: Subject) -> Iterator[Fault]:
    for key in ("namePrefix", "nameSuffix"):
        if subject.at(key) and _services(subject) != frozenset():
            message = "renames the InferenceService but not what refers to it, and changes its URL and probes' path"
            yield Fault(place=(key,), message=message)


def _lists(subject: Subject) -> Iterator[Fault]:
    for key in _PATCHES:
        for index, patch in enumerate(subject.items(key)):
            documents = get_at(patch, "documents")
            for document in documents if isinstance(documents, list) else []:
                if isinstance(document, dict) and _custom(document, get_at(patch, "target")):
                    for place in _places_of_lists(document, ()):
                        yield Fault(
                            place=(key, index),
                            message=f"a strategic-merge patch replaces the whole list {format_path(place)}: "
                            "what the base has in it is lost",
                            hint=f"use a JSON 6902 patch: op add, path /{'/'.join(map(str, place))}/-, or op replace",
                        )


def _services(subject: Subject) -> frozenset[object] | None:
    """Names of the InferenceServices that the component changes; None where nothing could be built."""
    if subject.overlay is None:
        return None
    return frozenset(get_at(item, "metadata", "name") for item in subject.overlay if item["kind"] == INFERENCE_SERVICE)


def _repository(image: object) -> str:
    name = str(image or "").partition("@")[0]
    head, _, last = name.rpartition("/")
    return f"{head}/{last.partition(':')[0]}" if head else last.partition(":")[0]


def _custom(document: dict[str, object], target: object) -> bool:
    """Whether a patch is for one of KServe's kinds."""
    group = str(document.get("apiVersion", "")).partition("/")[0] or get_at(target, "group")
    return group == _GROUP or document.get("kind") in _KINDS or get_at(target, "kind") in _KINDS


def _places_of_lists(node: object, place: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(node, dict):
        for key, value in node.items():
            if isinstance(value, list):
                yield (*place, str(key))
            else:
                yield from _places_of_lists(value, (*place, str(key)))


_KUSTOMIZE = "https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/"

RULES = (
    Rule(
        id="kustomize-replicas",
        covers=("L24b",),
        kinds=(COMPONENT,),
        summary="replicas: is not used on an InferenceService.",
        why="kustomize knows the replicas of Deployment, StatefulSet, ReplicaSet and ReplicationController only; on "
        "others the build fails.",
        fix="set minReplicas and maxReplicas in model.yaml",
        link=f"{_KUSTOMIZE}replicas/",
        check=_replicas,
    ),
    Rule(
        id="kustomize-images",
        kinds=(COMPONENT,),
        severity=Severity.WARNING,
        summary="images: does not reach predictor.model.image.",
        why="kustomize looks for images in containers only, and says nothing where it finds none.",
        fix="patch /spec/predictor/model/image with JSON 6902",
        link=f"{_KUSTOMIZE}images/",
        check=_images,
    ),
    Rule(
        id="kustomize-name-affix",
        covers=("L24b",),
        kinds=(COMPONENT,),
        summary="namePrefix and nameSuffix are not used where there is an InferenceService.",
        why="serviceAccountName, runtime, serviceName and the paths of probes keep the old name.",
        fix="give the model another slug in m2g.yaml (models.slugs)",
        link=f"{_KUSTOMIZE}nameprefix/",
        check=_affixes,
    ),
    Rule(
        id="kustomize-list-patch",
        kinds=(COMPONENT,),
        summary="A strategic-merge patch has no list of a KServe resource.",
        why="kustomize has no merge keys for custom resources and replaces the whole list: an image, a variable or a "
        "container is lost without a word.",
        fix="use a JSON 6902 patch",
        link=f"{_KUSTOMIZE}patches/",
        check=_lists,
    ),
)
