"""Labels and annotations of an InferenceService: KServe copies them to the pods, so each change restarts them."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator

from m2g.core.finding import Severity
from m2g.core.schema_errors import Violation
from m2g.validation.rules.containers import Place
from m2g.validation.rules.rule import ANY, CheckedObject, Rule

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T _.][0-9]{2}[:.-]?[0-9]{2}.*")
_KEYS = re.compile(
    r"(.*[/._-])?(timestamp|(build|pipeline|job|commit|git|ci)[-_.]?(id|number|time|date|sha|url|revision|commit)"
    r"|commit|restartedat|last-applied-configuration|generated-?at|rendered-?at|deployed-?at|updated-?at)"
)
_ANNOTATIONS = 256 << 10
_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_CHART = "helm.sh/chart"
_OURS = "m2g.dev/"


def _check_volatile(obj: CheckedObject) -> Iterator[Violation]:
    places: list[Place] = [("metadata",), *(("spec", name) for name in obj.components)]
    for here in places:
        for field in ("labels", "annotations"):
            for key, value in obj.mapping(*here, field).items():
                if not key.startswith(_OURS) and (_changes(key) or (isinstance(value, str) and _TIME.fullmatch(value))):
                    message = "can change when the model does not, and each change restarts the pods"
                    yield Violation(where=(*here, field, key), message=message)


def _check_fields(obj: CheckedObject) -> Iterator[Violation]:
    annotations = obj.mapping("metadata", "annotations")
    size = sum(len(str(key).encode()) + len(str(value).encode()) for key, value in annotations.items())
    if size > _ANNOTATIONS:
        message = f"have {size} bytes together; Kubernetes allows {_ANNOTATIONS}"
        yield Violation(where=("metadata", "annotations"), message=message, hint="move large texts to a ConfigMap")
    if obj.at("metadata", "managedFields"):
        message = "belongs to the cluster; a server-side apply with it is refused"
        yield Violation(where=("metadata", "managedFields"), message=message)
    created = obj.at("metadata", "creationTimestamp")
    if isinstance(created, str) and not _RFC3339.fullmatch(created):
        message = f"is {created[:80]!r}, which is no time"
        yield Violation(where=("metadata", "creationTimestamp"), message=message)


@functools.lru_cache(maxsize=1 << 10)
def _changes(key: str) -> bool:
    """Whether a key's name says that its value belongs to one commit, build or time."""
    return key == _CHART or _KEYS.fullmatch(key.lower()) is not None


RULES = (
    Rule(
        id="volatile-metadata",
        covers=("L16",),
        severity=Severity.WARNING,
        summary="Labels and annotations change only with the model: no commit, build number or time.",
        why="KServe copies them to the pod template, so a new value rolls out the same model again.",
        fix="remove it (Git knows the commit and the time), or move it to another object",
        link="https://kserve.github.io/website/docs/reference/crd-api",
        check=_check_volatile,
    ),
    Rule(
        id="metadata-fields",
        kinds=ANY,
        summary="Metadata has no fields of the cluster, and at most 256 KiB of annotations.",
        why="Kubernetes refuses the object. A copy from `kubectl get -o yaml` has such fields.",
        fix="remove it",
        link="https://kubernetes.io/docs/concepts/overview/working-with-objects/annotations/",
        check=_check_fields,
    ),
)
