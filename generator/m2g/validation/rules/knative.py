"""What Knative refuses: its own limits and the pod fields that it allows by a feature flag, or never."""

from __future__ import annotations

from collections.abc import Iterator

from m2g.core.schema_errors import Violation
from m2g.serving import knative
from m2g.validation.rules.containers import Place
from m2g.validation.rules.rule import DEPLOYMENT_MODE, KNATIVE, CheckedObject, Rule

_MORE = "kserve.knative.{} in m2g.yaml"


def _check_limits(obj: CheckedObject) -> Iterator[Violation]:
    limits = (
        ("timeout", "timeoutSeconds", obj.knative.max_timeout_seconds, "maxTimeoutSeconds"),
        (
            "containerConcurrency",
            "containerConcurrency",
            obj.knative.max_container_concurrency,
            "maxContainerConcurrency",
        ),
    )
    for name in obj.components if _is_knative(obj) else ():
        for field, setting, most, key in limits:
            value = obj.number("spec", name, field)
            if value is not None and value > most:
                message = f"is {value}; Knative allows at most {most}"
                hint = (
                    f"lower settings.{setting}, or, if the cluster's Knative allows more, raise {_MORE.format(key)} "
                    "to what it allows"
                )
                yield Violation(where=("spec", name, field), message=message, hint=hint)


def _check_fields(obj: CheckedObject) -> Iterator[Violation]:
    for name in obj.components if _is_knative(obj) else ():
        here: Place = ("spec", name)
        for field in obj.mapping(*here):
            if field in knative.POD_FEATURES:
                yield from _flagged(obj, (*here, field), knative.POD_FEATURES[field])
            elif field in knative.NEVER_IN_POD:
                yield Violation(where=(*here, field), message="is refused by Knative", hint="remove it")
        for volume in obj.places(*here, "volumes"):
            for source in obj.mapping(*volume):
                if source in knative.VOLUME_FEATURES:
                    yield from _flagged(obj, (*volume, source), knative.VOLUME_FEATURES[source])
        containers = [place for place in obj.containers if place[: len(here)] == here]
        for container in containers:
            yield from _container(obj, container)
        yield from _ports(obj, [place for place in containers if "initContainers" not in place])


def _container(obj: CheckedObject, here: Place) -> Iterator[Violation]:
    for field in knative.NEVER_IN_CONTAINER:
        if obj.at(*here, field):
            yield Violation(where=(*here, field), message="is refused by Knative", hint="remove it")
    for variable in obj.places(*here, "env"):
        for source in ("fieldRef", "resourceFieldRef"):
            if obj.at(*variable, "valueFrom", source) is not None:
                yield from _flagged(obj, (*variable, "valueFrom", source), knative.FIELD_REFERENCE)


def _ports(obj: CheckedObject, containers: list[Place]) -> Iterator[Violation]:
    ports = [port for container in containers for port in obj.places(*container, "ports")]
    for port in ports[1:]:
        message = "is a second port; Knative allows one port in all containers together"
        yield Violation(where=port, message=message, hint="keep the port that answers requests")
    for port in ports[:1]:
        name, number = obj.text(*port, "name"), obj.number(*port, "containerPort")
        if name not in knative.PORT_NAMES:
            message = f"is {name!r}; Knative allows only http1 and h2c"
            yield Violation(where=(*port, "name"), message=message, hint="remove the name, or use h2c for gRPC")
        if number in knative.RESERVED_PORTS:
            message = f"is {number}, a port of Knative's own proxy"
            yield Violation(where=(*port, "containerPort"), message=message, hint="use another port, such as 8080")


def _flagged(obj: CheckedObject, place: Place, flag: str) -> Iterator[Violation]:
    if obj.at(*place) not in (None, {}, [], "", False) and flag not in obj.knative.features:
        message = f"is refused by Knative unless its feature flag {flag} is enabled"
        hint = f"remove it, or, if the cluster enables the flag, add {flag} to {_MORE.format('features')}"
        yield Violation(where=place, message=message, hint=hint)


def _is_knative(obj: CheckedObject) -> bool:
    """Outside of a repository nothing says what the cluster's Knative allows."""
    return obj.of_repository and obj.text("metadata", "annotations", DEPLOYMENT_MODE) == KNATIVE[obj.kserve]


RULES = (
    Rule(
        id="knative-limits",
        summary="In Knative mode, timeout and concurrency are inside the limits of Knative.",
        why="KServe accepts more, and then Knative refuses the service: by default it allows 600 seconds and 1000 "
        "requests at once. Nothing is deployed.",
        fix="lower the setting, or raise the limit under kserve.knative in m2g.yaml to what the cluster allows",
        link="https://knative.dev/docs/serving/configuration/config-defaults/",
        check=_check_limits,
    ),
    Rule(
        id="knative-fields",
        summary="In Knative mode, a pod has only the fields that the cluster's Knative allows.",
        why="KServe accepts the field, and then Knative refuses the service: many fields of a pod need a feature flag "
        "in its ConfigMap config-features, some are never allowed. Nothing is deployed.",
        fix="remove the field, or add the feature flag to kserve.knative.features in m2g.yaml if the cluster enables "
        "it",
        link="https://knative.dev/docs/serving/configuration/feature-flags/",
        check=_check_fields,
    ),
)
