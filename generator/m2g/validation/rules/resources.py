"""Requests and limits: in canonical form, in order, and large enough for the model."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from m2g.core import quantity
from m2g.core.errors import InputError
from m2g.core.finding import Severity
from m2g.core.schema_errors import Violation
from m2g.validation.rules.containers import INFERENCE_SERVICE, KINDS, RUNTIMES
from m2g.validation.rules.rule import CheckedObject, Rule, issue_url

_SIDES = ("requests", "limits")


def _check_canonical(obj: CheckedObject) -> Iterator[Violation]:
    for container in obj.containers:
        for side in _SIDES:
            for name, amount in obj.mapping(*container, "resources", side).items():
                place = (*container, "resources", side, name)
                try:
                    right = quantity.canonicalize(str(amount))
                except InputError:
                    continue  # not a quantity: the schema reports it
                if right != amount:
                    shown = f"{amount!r}" if isinstance(amount, str) else f"the number {amount}"
                    message = f"is {shown}; the cluster stores {right!r}"
                    yield Violation(where=place, message=message, hint=f'set it to "{right}"')


def _check_order(obj: CheckedObject) -> Iterator[Violation]:
    for container in obj.containers:
        limits = obj.mapping(*container, "resources", "limits")
        for name, request in obj.mapping(*container, "resources", "requests").items():
            place = (*container, "resources", "requests", name)
            least, most = _amount(request), _amount(limits.get(name))
            if least is not None and most is not None and least > most:
                yield Violation(where=place, message=f"is {request}, above the limit of {limits[name]}")


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
        id="quantity-canonical",
        covers=("L15",),
        kinds=(INFERENCE_SERVICE, *RUNTIMES),
        severity=Severity.WARNING,
        summary="Quantities are strings in the form that the cluster stores: 500m, 1, 2Gi.",
        why="The webhook rewrites 0.5, 1000m and 2048Mi. Argo CD compares the text and always shows OutOfSync.",
        fix="write the quantity in the form that the cluster stores",
        link=issue_url(2232),
        check=_check_canonical,
    ),
    Rule(
        id="requests-limits",
        covers=("L19",),
        kinds=KINDS,
        summary="No request is above its limit.",
        why="Kubernetes refuses the pod. KServe's webhook does not check it, so the service is accepted but never "
        "starts.",
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
