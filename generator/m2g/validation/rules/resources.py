"""Requests and limits: in Kubernetes' spelling, in order, and enough for the model."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from m2g.core import quantity
from m2g.core.errors import InputError
from m2g.core.finding import Severity
from m2g.validation.rules.containers import INFERENCE_SERVICE, KINDS, RUNTIMES
from m2g.validation.rules.rule import Fault, Rule, Subject, issue

_SIDES = ("requests", "limits")


def _canonical(subject: Subject) -> Iterator[Fault]:
    for container in subject.containers:
        for side in _SIDES:
            for name, amount in subject.mapping(*container, "resources", side).items():
                place = (*container, "resources", side, name)
                try:
                    right = quantity.canonicalize(str(amount))
                except InputError:
                    continue  # not a quantity: the schema says so
                if right != amount:
                    shown = f"{amount!r}" if isinstance(amount, str) else f"the number {amount}"
                    yield Fault(
                        place=place, message=f"is {shown}; the cluster keeps {right!r}", hint=f'write "{right}"'
                    )


def _order(subject: Subject) -> Iterator[Fault]:
    for container in subject.containers:
        limits = subject.mapping(*container, "resources", "limits")
        for name, request in subject.mapping(*container, "resources", "requests").items():
            place = (*container, "resources", "requests", name)
            least, most = _amount(request), _amount(limits.get(name))
            if least is not None and most is not None and least > most:
                yield Fault(place=place, message=f"is {request}, above the limit of {limits[name]}")


def _memory(subject: Subject) -> Iterator[Fault]:
    size = subject.release.mlmodel.size_bytes if subject.release and subject.release.mlmodel else None
    place = ("spec", "predictor", "model", "resources", "limits", "memory")
    limit = _amount(subject.at(*place))
    if size and limit is not None and limit < 2 * size:
        least = quantity.canonicalize(f"{-(-2 * size // (1 << 20))}Mi")
        message = f"is {subject.at(*place)}, but the model's files are {size} bytes; loading takes about twice that"
        yield Fault(place=place, message=message, hint=f"set resources.limits.memory in model.yaml to {least} or more")


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
        summary="Quantities are text in the spelling that the cluster keeps: 500m, 1, 2Gi.",
        why="The webhook rewrites 0.5, 1000m and 2048Mi. Argo CD compares the text and is never in sync.",
        fix="write the quantity as the cluster keeps it",
        link=issue(2232),
        check=_canonical,
    ),
    Rule(
        id="requests-limits",
        covers=("L19",),
        kinds=KINDS,
        summary="No request is above its limit.",
        why="Kubernetes refuses the pod; KServe's webhook does not look, so the service is accepted and never starts.",
        fix="raise the limit or lower the request",
        link=_LINK,
        check=_order,
    ),
    Rule(
        id="memory-for-model",
        covers=("L19",),
        severity=Severity.WARNING,
        summary="The memory limit is at least twice the size of the model's files.",
        why="Loading keeps the file and the object in memory for a moment; with less the container is killed, over and "
        "over. The size is MLflow's, from the release record.",
        fix="raise resources.limits.memory in model.yaml",
        link=_LINK,
        check=_memory,
    ),
)
