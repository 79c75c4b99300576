"""Labels and annotations of an InferenceService: KServe copies them to the pods, so each change restarts them."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator

from m2g.core.finding import Severity
from m2g.core.schema_errors import Violation
from m2g.validation.rules.containers import Place
from m2g.validation.rules.rule import CheckedObject, Rule

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T _.][0-9]{2}[:.-]?[0-9]{2}.*")
_KEYS = re.compile(
    r"(.*[/._-])?(timestamp|(build|pipeline|job|commit|git|ci)[-_.]?(id|number|time|date|sha|url|revision|commit)"
    r"|commit|restartedat|last-applied-configuration|generated-?at|rendered-?at|deployed-?at|updated-?at)"
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
)
