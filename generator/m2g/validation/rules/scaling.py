"""Scaling: what KServe's webhook accepts in each mode and autoscaler class, and what it accepts but ignores.

Source: kserve pkg/apis/serving/v1beta1/inference_service_validation.go and component.go (V4 to V8 of the reference).
"""

from __future__ import annotations

from collections.abc import Iterator

from m2g.core import quantity
from m2g.core.errors import InputError
from m2g.core.finding import Severity
from m2g.core.manifest import get_at
from m2g.core.schema_errors import Violation
from m2g.validation.rules.containers import Place
from m2g.validation.rules.rule import AUTOSCALER_CLASS, WEBHOOK_SOURCE, CheckedObject, Rule, issue_url

_MEBIBYTE = 1 << 20
_KNATIVE_CLASS = "autoscaling.knative.dev/class"
_KNATIVE_HPA = "hpa.autoscaling.knative.dev"
_TARGETS = {"Utilization": "averageUtilization", "AverageValue": "averageValue", "Value": "value"}
_SOURCES = {"Resource": "resource", "External": "external", "PodMetric": "podmetric"}


def _check_metrics(obj: CheckedObject) -> Iterator[Violation]:
    annotations = obj.mapping("metadata", "annotations")
    for name in obj.components:
        here: Place = ("spec", name)
        if not obj.standard:
            hpa = annotations.get(_KNATIVE_CLASS) == _KNATIVE_HPA
            yield from _hpa(obj, here) if hpa else _knative(obj, here)
        elif annotations.get(AUTOSCALER_CLASS) == "hpa":
            yield from _hpa(obj, here)
        elif annotations.get(AUTOSCALER_CLASS) == "keda":
            yield from _keda(obj, here)


def _hpa(obj: CheckedObject, here: Place) -> Iterator[Violation]:
    metric, target = obj.at(*here, "scaleMetric"), obj.number(*here, "scaleTarget")
    if metric in ("concurrency", "rps"):
        yield Violation(where=(*here, "scaleMetric"), message=f"is {metric!r}; with an HPA it must be cpu or memory")
    if target is not None and not 1 <= target <= 100:
        yield Violation(where=(*here, "scaleTarget"), message=f"is {target}; with an HPA it must be 1 to 100 (percent)")
    for index, metric in enumerate(obj.items(*here, "autoScaling", "metrics")):
        place: Place = (*here, "autoScaling", "metrics", index)
        if get_at(metric, "type") in ("External", "PodMetric"):
            yield Violation(
                where=(*place, "type"), message=f"is {get_at(metric, 'type')!r}; an HPA supports Resource only"
            )
        elif get_at(metric, "type") == "Resource" and not get_at(metric, "resource"):
            yield Violation(where=(*place, "resource"), message="is missing")


def _keda(obj: CheckedObject, here: Place) -> Iterator[Violation]:
    if obj.at(*here, "scaleMetric") is not None:
        hint = "use autoScaling.metrics"
        yield Violation(where=(*here, "scaleMetric"), message="is not allowed with KEDA", hint=hint)
    for index, metric in enumerate(obj.items(*here, "autoScaling", "metrics")):
        place: Place = (*here, "autoScaling", "metrics", index)
        field = _SOURCES.get(str(get_at(metric, "type")), "")
        if field and not get_at(metric, field):
            yield Violation(where=(*place, field), message="is missing")
        elif field == "resource":
            yield from _keda_resource(obj, (*place, field))
        elif field:
            yield from _keda_query(obj, (*place, field))


def _keda_resource(obj: CheckedObject, here: Place) -> Iterator[Violation]:
    name, kind = obj.at(*here, "name"), obj.at(*here, "target", "type")
    allowed = ("Utilization",) if name == "cpu" else ("Utilization", "AverageValue")
    if kind not in allowed:
        message = f"is {kind!r}; for {name} it must be {' or '.join(allowed)}"
        yield Violation(where=(*here, "target", "type"), message=message)
        return
    yield from _target(obj, (*here, "target"))
    if kind == "AverageValue" and _bytes(obj.at(*here, "target", "averageValue")) < _MEBIBYTE:
        yield Violation(where=(*here, "target", "averageValue"), message="must be at least 1Mi")


def _keda_query(obj: CheckedObject, here: Place) -> Iterator[Violation]:
    if not obj.at(*here, "metric", "query"):
        yield Violation(where=(*here, "metric", "query"), message="is missing or empty")
    if obj.at(*here, "target", "value") is None:
        yield Violation(where=(*here, "target", "value"), message="is missing")
    else:
        yield from _target(obj, (*here, "target"))


def _target(obj: CheckedObject, here: Place) -> Iterator[Violation]:
    field = _TARGETS.get(obj.text(*here, "type"), "")
    if field and obj.at(*here, field) is None:
        yield Violation(where=(*here, field), message="is missing")
    share = obj.number(*here, "averageUtilization")
    if field == "averageUtilization" and share is not None and not 1 <= share <= 100:
        yield Violation(where=(*here, field), message=f"is {share}; it must be 1 to 100 (percent)")


def _bytes(amount: object) -> float:
    try:
        return float(quantity.parse(str(amount)))
    except InputError:
        return _MEBIBYTE  # not a quantity: the schema reports it


def _knative(obj: CheckedObject, here: Place) -> Iterator[Violation]:
    metric, target = obj.at(*here, "scaleMetric"), obj.number(*here, "scaleTarget")
    if metric in ("cpu", "memory"):
        yield Violation(
            where=(*here, "scaleMetric"), message=f"is {metric!r}; with Knative it must be concurrency or rps"
        )
    if metric == "rps" and target is not None and target < 1:
        yield Violation(where=(*here, "scaleTarget"), message=f"is {target}; it must be at least 1")


_BACKENDS = {"external": ("prometheus", "graphite"), "podmetric": ("opentelemetry",)}


def _check_fields(obj: CheckedObject) -> Iterator[Violation]:
    for metric in (place for name in obj.components for place in obj.places("spec", name, "autoScaling", "metrics")):
        for source in obj.mapping(*metric):
            here: Place = (*metric, source)
            if source in _BACKENDS and obj.mapping(*here):
                backend = obj.at(*here, "metric", "backend")
                if backend not in _BACKENDS[source]:
                    current = "is missing" if backend is None else f"is {backend!r}"
                    message = f"{current}; it must be {' or '.join(_BACKENDS[source])}"
                    yield Violation(where=(*here, "metric", "backend"), message=message)
            own_rule = source == "resource" and obj.at("metadata", "annotations", AUTOSCALER_CLASS) == "keda"
            if (
                source in ("resource", *_BACKENDS)
                and not own_rule
                and obj.mapping(*here, "target")
                and not obj.at(*here, "target", "type")
            ):
                message = f"is missing; it must be one of {', '.join(_TARGETS)}"
                yield Violation(where=(*here, "target", "type"), message=message)


def _check_replicas(obj: CheckedObject) -> Iterator[Violation]:
    for name in obj.components:
        here: Place = ("spec", name)
        least, most = obj.number(*here, "minReplicas"), obj.number(*here, "maxReplicas")
        if most is not None and most > 0 and (1 if least is None else least) > most:
            shown = "1 (the default)" if least is None else least
            yield Violation(where=(*here, "maxReplicas"), message=f"is {most}, less than minReplicas, which is {shown}")


def _check_to_zero(obj: CheckedObject) -> Iterator[Violation]:
    if not obj.standard or obj.text("metadata", "annotations", AUTOSCALER_CLASS) == "keda":
        return
    for name in obj.components:
        if obj.number("spec", name, "minReplicas") == 0:
            yield Violation(
                where=("spec", name, "minReplicas"), message="is 0, but only Knative and KEDA scale to zero"
            )


RULES = (
    Rule(
        id="scale-metric",
        covers=("V4", "V5", "V7", "L04"),
        summary="The mode and the autoscaler class allow the scaling metric and target.",
        why="An HPA scales by cpu or memory in percent, Knative by concurrency or requests per second, KEDA by "
        "autoScaling only; the webhook refuses anything else. Without a mode it applies Knative's rules.",
        fix="set settings.autoscaler, settings.scaleMetric and settings.scaleTarget in model.yaml to match each other",
        link=issue_url(3638),
        check=_check_metrics,
    ),
    Rule(
        id="metric-fields",
        summary="A metric of autoScaling has a backend and a type of target that KServe has.",
        why="The CRD of every KServe version allows only these. For a missing one the webhook writes an empty text, "
        "which the CRD refuses.",
        fix="set backend to prometheus, graphite or (podmetric) opentelemetry, and the target's type",
        link="https://kserve.github.io/website/docs/model-serving/predictive-inference/autoscaling/keda-autoscaler",
        check=_check_fields,
    ),
    Rule(
        id="replicas-range",
        covers=("V8", "L05"),
        summary="minReplicas (default 1) is not above maxReplicas; maxReplicas 0 means no limit.",
        why="KServe's webhook refuses it.",
        fix="set settings.minReplicas and settings.maxReplicas in model.yaml",
        link=WEBHOOK_SOURCE,
        check=_check_replicas,
    ),
    Rule(
        id="scale-to-zero",
        covers=("L05",),
        severity=Severity.WARNING,
        summary="minReplicas 0 needs Knative or KEDA.",
        why="An HPA does not scale to zero, so KServe always runs one replica.",
        fix="set settings.minReplicas in model.yaml to 1, or use Knative mode or the autoscaler class keda",
        link="https://kserve.github.io/website/docs/model-serving/predictive-inference/autoscaling/kpa-autoscaler",
        check=_check_to_zero,
    ),
)
