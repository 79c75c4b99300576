"""Labels and annotations of an InferenceService: KServe copies them to the pods, so each change rolls the model."""

from __future__ import annotations

import re
from collections.abc import Iterator

from m2g.core import memo
from m2g.core.finding import Severity
from m2g.validation.rules.containers import Place
from m2g.validation.rules.rule import Fault, Rule, Subject

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T _.][0-9]{2}[:.-]?[0-9]{2}.*")
_KEYS = re.compile(
    r"(.*[/._-])?(timestamp|(build|pipeline|job|commit|git|ci)[-_.]?(id|number|time|date|sha|url|revision|commit)"
    r"|commit|restartedat|last-applied-configuration|generated-?at|rendered-?at|deployed-?at|updated-?at)"
)
_CHART = "helm.sh/chart"
_OURS = "m2g.dev/"


def _volatile(subject: Subject) -> Iterator[Fault]:
    places: list[Place] = [("metadata",), *(("spec", name) for name in subject.components)]
    for here in places:
        for field in ("labels", "annotations"):
            for key, value in subject.mapping(*here, field).items():
                if not key.startswith(_OURS) and (_changes(key) or (isinstance(value, str) and _TIME.fullmatch(value))):
                    message = "changes without the model, and each change restarts its pods"
                    yield Fault(place=(*here, field, key), message=message)


@memo.short
def _changes(key: str) -> bool:
    """Whether what a key is called is of one commit, build or time."""
    return key == _CHART or _KEYS.fullmatch(key.lower()) is not None


RULES = (
    Rule(
        id="volatile-metadata",
        covers=("L16",),
        severity=Severity.WARNING,
        summary="No label or annotation changes where the model does not: no commit, build number, chart or time.",
        why="KServe copies them to the pod template. A new value is a rollout of a model that is the same.",
        fix="put it on another object, or leave it out: Git knows the commit and the time",
        link="https://kserve.github.io/website/docs/reference/crd-api",
        check=_volatile,
    ),
)
