"""Requests and limits: in order, and large enough for the model."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from m2g.core import pod_resources, quantity
from m2g.core.errors import InputError
from m2g.core.finding import Severity
from m2g.core.schema_errors import Violation
from m2g.validation.rules.containers import KINDS
from m2g.validation.rules.rule import CheckedObject, Rule


def _check_order(obj: CheckedObject) -> Iterator[Violation]:
    for container in obj.containers:
        here = (*container, "resources")
        requests, limits = obj.mapping(*here, "requests"), obj.mapping(*here, "limits")
        for problem in pod_resources.find_problems(requests, limits) if requests or limits else ():
            place = (*here, problem.side, problem.name)
            yield Violation(where=place, message=problem.message, hint=problem.hint)


def _check_memory(obj: CheckedObject) -> Iterator[Violation]:
    size = obj.release.mlmodel.size_bytes if obj.release and obj.release.mlmodel else None
    place = ("spec", "predictor", "model", "resources", "limits", "memory")
    limit = _amount(obj.at(*place))
    if size and limit is not None and limit < 2 * size:
        least = quantity.canonicalize(f"{-(-2 * size // (1 << 20))}Mi")
        message = f"is {obj.at(*place)}, but the model's files have {size} bytes; loading needs about twice that"
        hint = f"set settings.resources.limits.memory in model.yaml to {least} or more"
        yield Violation(where=place, message=message, hint=hint)


def _amount(value: object) -> Decimal | None:
    try:
        return None if value is None else quantity.parse(str(value))
    except InputError:
        return None


_LINK = "https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/"

RULES = (
    Rule(
        id="requests-limits",
        covers=("L19",),
        kinds=KINDS,
        summary="No request is above its limit; GPUs and huge pages have equal, whole amounts.",
        why="Kubernetes refuses the pod: only cpu, memory and ephemeral-storage may be overcommitted or divided. "
        "KServe's webhook does not check it, so the service is accepted but never starts.",
        fix="raise the limit or lower the request",
        link=_LINK,
        check=_check_order,
    ),
    Rule(
        id="memory-for-model",
        covers=("L19",),
        severity=Severity.WARNING,
        summary="The memory limit is at least twice the size of the model's files.",
        why="Loading keeps the file and the object in memory at the same time. With less memory, Kubernetes kills the "
        "container again and again. The size is from MLflow; the release record has it.",
        fix="raise settings.resources.limits.memory in model.yaml",
        link=_LINK,
        check=_check_memory,
    ),
)
