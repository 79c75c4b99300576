"""Kustomize features in people's components that break custom resources, mostly without a word.

Tried with kustomize 5.5 and 5.8: lists of a custom resource are replaced whole by a strategic merge.
"""

from __future__ import annotations

from collections.abc import Iterator

from m2g.checks.rule import COMPONENT, INFERENCE_SERVICE, Fault, Rule, Subject
from m2g.finding import Severity
from m2g.manifest import at, path_text

_GROUP = "serving.kserve.io"
_KINDS = (INFERENCE_SERVICE, "ServingRuntime", "ClusterServingRuntime", "InferenceGraph", "LLMInferenceService")
_PATCHES = ("patches", "patchesStrategicMerge")


def _replicas(subject: Subject) -> Iterator[Fault]:
    services = _services(subject)
    for index, entry in enumerate(subject.items("replicas")):
        if services is None or at(entry, "name") in services:
            name = at(entry, "name")
            message = f"kustomize has no replicas for an InferenceService ({name!r}); the build fails"
            yield Fault(place=("replicas", index), message=message)


def _images(subject: Subject) -> Iterator[Fault]:
    used = {_repository(at(item, "spec", "predictor", "model", "image")) for item in subject.overlay or ()}
    for index, entry in enumerate(subject.items("images")):
        if at(entry, "name") in used:
            message = f"images: does not reach predictor.model.image ({at(entry, 'name')}); nothing is changed"
            yield Fault(place=("images", index), message=message)


def _affixes(subject: Subject) -> Iterator[Fault]:
    for key in ("namePrefix", "nameSuffix"):
        if subject.at(key) and _services(subject) != frozenset():
            message = "renames the InferenceService but not what refers to it, and changes its URL and probes' path"
            yield Fault(place=(key,), message=message)


def _lists(subject: Subject) -> Iterator[Fault]:
    for key in _PATCHES:
        for index, patch in enumerate(subject.items(key)):
            documents = at(patch, "documents")
            for document in documents if isinstance(documents, list) else []:
                if isinstance(document, dict) and _custom(document, at(patch, "target")):
                    for place in _places_of_lists(document, ()):
                        yield Fault(
                            place=(key, index),
                            message=f"a strategic-merge patch replaces the whole list {path_text(place)}: "
                            "what the base has in it is lost",
                            hint=f"use a JSON 6902 patch: op add, path /{'/'.join(map(str, place))}/-, or op replace",
                        )


def _services(subject: Subject) -> frozenset[object] | None:
    """Names of the InferenceServices that the component changes; None where nothing could be built."""
    if subject.overlay is None:
        return None
    return frozenset(at(item, "metadata", "name") for item in subject.overlay if item["kind"] == INFERENCE_SERVICE)


def _repository(image: object) -> str:
    name = str(image or "").partition("@")[0]
    head, _, last = name.rpartition("/")
    return f"{head}/{last.partition(':')[0]}" if head else last.partition(":")[0]


def _custom(document: dict[str, object], target: object) -> bool:
    """Whether a patch is for one of KServe's kinds."""
    group = str(document.get("apiVersion", "")).partition("/")[0] or at(target, "group")
    return group == _GROUP or document.get("kind") in _KINDS or at(target, "kind") in _KINDS


def _places_of_lists(node: object, place: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(node, dict):
        for key, value in node.items():
            if isinstance(value, list):
                yield (*place, str(key))
            else:
                yield from _places_of_lists(value, (*place, str(key)))


RULES = (
    Rule(
        id="kustomize-replicas",
        kind=COMPONENT,
        summary="replicas: is not used on an InferenceService.",
        fix="set minReplicas and maxReplicas in model.yaml",
        check=_replicas,
        why="kustomize knows replicas of Deployment, StatefulSet, ReplicaSet and ReplicationController only",
    ),
    Rule(
        id="kustomize-images",
        kind=COMPONENT,
        severity=Severity.WARNING,
        summary="images: does not reach predictor.model.image.",
        fix="patch /spec/predictor/model/image with JSON 6902",
        check=_images,
        why="kustomize looks for images in containers only",
    ),
    Rule(
        id="kustomize-name-affix",
        kind=COMPONENT,
        summary="namePrefix and nameSuffix are not used where there is an InferenceService.",
        fix="give the model another slug in m2g.yaml (models.slugs)",
        check=_affixes,
        why="serviceAccountName, runtime, serviceName and probe paths keep the old name",
    ),
    Rule(
        id="kustomize-list-patch",
        kind=COMPONENT,
        summary="A strategic-merge patch has no list of a KServe resource.",
        fix="use a JSON 6902 patch",
        check=_lists,
        why="kustomize has no merge keys for custom resources: an image, env or container was lost",
    ),
)
