"""Kustomize features that break custom resources when a component uses them, mostly without an error.

Verified with kustomize 5.5 and 5.8: a strategic merge replaces whole lists of a custom resource.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from m2g.core.field_path import format_path
from m2g.core.finding import Severity
from m2g.core.manifest import Manifest, get_at
from m2g.core.schema_errors import Violation
from m2g.validation.rules.containers import INFERENCE_SERVICE
from m2g.validation.rules.rule import COMPONENT, CheckedObject, Rule

_GROUP = "serving.kserve.io"
_KINDS = (INFERENCE_SERVICE, "ServingRuntime", "ClusterServingRuntime", "InferenceGraph", "LLMInferenceService")
_PATCHES = ("patches", "patchesStrategicMerge")


def _check_replicas(obj: CheckedObject) -> Iterator[Violation]:
    services = _services(obj)
    for index, entry in enumerate(obj.items("replicas")):
        if services is None or get_at(entry, "name") in services:
            name = get_at(entry, "name")
            message = f"kustomize cannot set the replicas of an InferenceService ({name!r}); the build fails"
            yield Violation(where=("replicas", index), message=message)


def _check_images(obj: CheckedObject) -> Iterator[Violation]:
    used = {_repository(get_at(item, "spec", "predictor", "model", "image")) for item in obj.overlay or ()}
    for index, entry in enumerate(obj.items("images")):
        if get_at(entry, "name") in used:
            message = f"kustomize does not look for {get_at(entry, 'name')} in predictor.model.image; nothing changes"
            yield Violation(where=("images", index), message=message)


def _check_affixes(obj: CheckedObject) -> Iterator[Violation]:
    for key in ("namePrefix", "nameSuffix"):
        if obj.at(key) and _services(obj) != frozenset():
            message = "renames the InferenceService, but its probe paths and what refers to it keep the old name"
            yield Violation(where=(key,), message=message)


def _check_lists(obj: CheckedObject) -> Iterator[Violation]:
    for key in _PATCHES:
        for index, patch in enumerate(obj.items(key)):
            documents = get_at(patch, "documents")
            for document in documents if isinstance(documents, list) else []:
                if isinstance(document, dict) and _custom(document, get_at(patch, "target")):
                    for place in _places_of_lists(document, ()):
                        yield Violation(
                            where=(key, index),
                            message=f"this strategic-merge patch replaces the whole list {format_path(place)}; "
                            "the entries of the base are lost",
                            hint="use a JSON 6902 patch: op add with the path "
                            f"/{'/'.join(place)}/- appends to the list, without /- it sets the whole list",
                        )


def _check_targets(obj: CheckedObject) -> Iterator[Violation]:
    if obj.shared or obj.overlay is None:
        return
    for index, patch in enumerate(obj.items("patches")):
        target = get_at(patch, "target")
        deletes = "$patch: delete" in str(get_at(patch, "patch"))
        if not isinstance(target, dict) or deletes or any(_may_select(target, item) for item in obj.overlay):
            continue
        wanted = " ".join(f"{key} {target[key]}" for key in ("group", "kind", "name") if target.get(key))
        names = sorted({f"{item.get('kind')} {get_at(item, 'metadata', 'name')}" for item in obj.overlay})
        message = f"selects no object ({wanted[:200]}), so kustomize ignores the patch"
        yield Violation(
            where=("patches", index, "target"), message=message, hint=f"the overlay has {', '.join(names[:5])}"
        )


def _may_select(target: dict[str, object], item: Manifest) -> bool:
    """By group, version, kind and name. kustomize anchors the expressions; a prefix or a hash may surround a name."""
    group, _, version = str(item.get("apiVersion")).rpartition("/")
    known = {"group": group, "version": version, "kind": item.get("kind")}
    if any(target.get(key) and not _matches(str(target[key]), str(value)) for key, value in known.items()):
        return False
    return not target.get("name") or _matches(str(target["name"]), str(get_at(item, "metadata", "name")), anywhere=True)


def _matches(expression: str, text: str, *, anywhere: bool = False) -> bool:
    try:
        return bool(re.search(expression, text) if anywhere else re.fullmatch(expression, text))
    except re.error:
        return True  # Go's syntax differs; kustomize reports what it cannot read


def _services(obj: CheckedObject) -> frozenset[object] | None:
    """The names of the InferenceServices that the component changes; None if the overlay does not build."""
    if obj.overlay is None:
        return None
    return frozenset(get_at(item, "metadata", "name") for item in obj.overlay if item["kind"] == INFERENCE_SERVICE)


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
        summary="replicas: is not used for an InferenceService.",
        why="kustomize sets replicas of Deployment, StatefulSet, ReplicaSet and ReplicationController only; for other "
        "kinds the build fails.",
        fix="set settings.minReplicas and settings.maxReplicas in model.yaml",
        link=f"{_KUSTOMIZE}replicas/",
        check=_check_replicas,
    ),
    Rule(
        id="kustomize-images",
        kinds=(COMPONENT,),
        severity=Severity.WARNING,
        summary="images: is not used for predictor.model.image.",
        why="kustomize looks for images in containers only, and reports nothing when it finds none.",
        fix="use a JSON 6902 patch with the path /spec/predictor/model/image",
        link=f"{_KUSTOMIZE}images/",
        check=_check_images,
    ),
    Rule(
        id="kustomize-name-affix",
        covers=("L24b",),
        kinds=(COMPONENT,),
        summary="namePrefix and nameSuffix are not used with an InferenceService.",
        why="serviceAccountName, runtime, serviceName and probe paths keep the old name.",
        fix="give the model another slug in m2g.yaml (models.slugs)",
        link=f"{_KUSTOMIZE}nameprefix/",
        check=_check_affixes,
    ),
    Rule(
        id="kustomize-list-patch",
        kinds=(COMPONENT,),
        summary="A strategic-merge patch contains no list of a KServe resource.",
        why="kustomize has no merge keys for custom resources and replaces the whole list: an image, a variable or a "
        "container disappears without an error.",
        fix="use a JSON 6902 patch",
        link=f"{_KUSTOMIZE}patches/",
        check=_check_lists,
    ),
    Rule(
        id="kustomize-target",
        kinds=(COMPONENT,),
        severity=Severity.WARNING,
        summary="The target of a patch in custom/ selects an object of the overlay.",
        why="kustomize ignores a patch whose target fits nothing, without a word: after a new slug or a typing error "
        "the object is deployed without it.",
        fix="correct the target; the service's name is the model's slug",
        link=f"{_KUSTOMIZE}patches/",
        check=_check_targets,
    ),
)
