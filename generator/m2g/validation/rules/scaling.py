"""What KServe's webhook accepts as scaling, by mode and autoscaler class, and what it accepts and ignores.

Source: kserve pkg/apis/serving/v1beta1/inference_service_validation.go and component.go (V4 to V8 of the reference).
"""

from __future__ import annotations

from collections.abc import Iterator

from m2g.core import quantity
from m2g.core.errors import InputError
from m2g.core.finding import Severity
from m2g.core.manifest import get_at
from m2g.validation.rules.containers import Place
from m2g.validation.rules.rule import CLASS, VALIDATION, Fault, Rule, Subject, issue

_MEBIBYTE = 1 << 20
_KNATIVE_CLASS = "autoscaling.knative.dev/class"
_KNATIVE_HPA = "hpa.autoscaling.knative.dev"
_SOURCES = {"Resource": "resource", "External": "external", "PodMetric": "podmetric"}


def _metrics(subject: Subject) -> Iterator[Fault]:
    annotations = subject.mapping("metadata", "annotations")
    for name in subject.components:
        here: Place = ("spec", name)
        if not subject.standard:
            hpa = annotations.get(_KNATIVE_CLASS) == _KNATIVE_HPA
            yield from _hpa(subject, here) if hpa else _knative(subject, here)
        elif annotations.get(CLASS) == "hpa":
            yield from _hpa(subject, here)
        elif annotations.get(CLASS) == "keda":
            yield from _keda(subject, here)


def _hpa(subject: Subject, here: Place) -> Iterator[Fault]:
    metric, target = subject.at(*here, "scaleMetric"), subject.number(*here, "scaleTarget")
    if metric in ("concurrency", "rps"):
        yield Fault(place=(*here, "scaleMetric"), message=f"is {metric!r}; with an HPA it must be cpu or memory")
    if target is not None and not 1 <= target <= 100:
        yield Fault(place=(*here, "scaleTarget"), message=f"is {target}; with an HPA it must be 1 to 100 (percent)")
    for index, metric in enumerate(subject.items(*here, "autoScaling", "metrics")):
        place: Place = (*here, "autoScaling", "metrics", index)
        if get_at(metric, "type") in ("External", "PodMetric"):
            yield Fault(place=(*place, "type"), message=f"is {get_at(metric, 'type')!r}; an HPA knows only Resource")
        elif get_at(metric, "type") == "Resource" and not get_at(metric, "resource"):
            yield Fault(place=(*place, "resource"), message="is missing")


def _keda(subject: Subject, here: Place) -> Iterator[Fault]:
    if subject.at(*here, "scaleMetric") is not None:
        hint = "say it in autoScaling.metrics"
        yield Fault(place=(*here, "scaleMetric"), message="is not allowed with KEDA", hint=hint)
    for index, metric in enumerate(subject.items(*here, "autoScaling", "metrics")):
        place: Place = (*here, "autoScaling", "metrics", index)
        field = _SOURCES.get(str(get_at(metric, "type")), "")
        if field and not get_at(metric, field):
            yield Fault(place=(*place, field), message="is missing")
        elif field == "resource":
            yield from _keda_resource(subject, (*place, field))
        elif field:
            yield from _keda_query(subject, (*place, field))


def _keda_resource(subject: Subject, here: Place) -> Iterator[Fault]:
    name, kind = subject.at(*here, "name"), subject.at(*here, "target", "type")
    allowed = ("Utilization",) if name == "cpu" else ("Utilization", "AverageValue")
    if kind not in allowed:
        message = f"is {kind!r}; for {name} it must be {' or '.join(allowed)}"
        yield Fault(place=(*here, "target", "type"), message=message)
        return
    yield from _target(subject, (*here, "target"))
    if kind == "AverageValue" and _bytes(subject.at(*here, "target", "averageValue")) < _MEBIBYTE:
        yield Fault(place=(*here, "target", "averageValue"), message="must be at least 1Mi")


def _keda_query(subject: Subject, here: Place) -> Iterator[Fault]:
    if not subject.at(*here, "metric", "query"):
        yield Fault(place=(*here, "metric", "query"), message="is missing or empty")
    if subject.at(*here, "target", "value") is None:
        yield Fault(place=(*here, "target", "value"), message="is missing")
    else:
        yield from _target(subject, (*here, "target"))


def _target(subject: Subject, here: Place) -> Iterator[Fault]:
    fields = {"Utilization": "averageUtilization", "AverageValue": "averageValue", "Value": "value"}
    field = fields.get(subject.text(*here, "type"), "")
    if field and subject.at(*here, field) is None:
        yield Fault(place=(*here, field), message="is missing")
    share = subject.number(*here, "averageUtilization")
    if field == "averageUtilization" and share is not None and not 1 <= share <= 100:
        yield Fault(place=(*here, field), message=f"is {share}; it must be 1 to 100 (percent)")


def _bytes(amount: object) -> float:
    try:
        return float(quantity.parse(str(amount)))
    except InputError:
        return _MEBIBYTE  # not a quantity: the schema says so


def _knative(subject: Subject, here: Place) -> Iterator[Fault]:
    metric, target = subject.at(*here, "scaleMetric"), subject.number(*here, "scaleTarget")
    if metric in ("cpu", "memory"):
        yield Fault(place=(*here, "scaleMetric"), message=f"is {metric!r}; with Knative it must be concurrency or rps")
    if metric == "rps" and target is not None and target < 1:
        yield Fault(place=(*here, "scaleTarget"), message=f"is {target}; it must be at least 1")


def _replicas(subject: Subject) -> Iterator[Fault]:
    for name in subject.components:
        here: Place = ("spec", name)
        least, most = subject.number(*here, "minReplicas"), subject.number(*here, "maxReplicas")
        if most is not None and most > 0 and (1 if least is None else least) > most:
            shown = "1 (the default)" if least is None else least
            yield Fault(place=(*here, "maxReplicas"), message=f"is {most}, less than minReplicas {shown}")


def _to_zero(subject: Subject) -> Iterator[Fault]:
    if not subject.standard or subject.text("metadata", "annotations", CLASS) == "keda":
        return
    for name in subject.components:
        if subject.number("spec", name, "minReplicas") == 0:
            yield Fault(place=("spec", name, "minReplicas"), message="is 0, but only Knative and KEDA scale to zero")


RULES = (
    Rule(
        id="scale-metric",
        covers=("V4", "V5", "V7", "L04"),
        summary="The scaling metric and target are such as the mode and the autoscaler class allow.",
        why="An HPA scales by cpu or memory in percent, Knative by concurrency or requests, KEDA by autoScaling alone; "
        "the webhook refuses the rest. Without a mode it takes Knative's rules.",
        fix="set autoscaler, scaleMetric and scaleTarget in model.yaml to fit each other",
        link=issue(3638),
        check=_metrics,
    ),
    Rule(
        id="replicas-range",
        covers=("V8", "L05"),
        summary="minReplicas is not above maxReplicas; a maxReplicas of 0 is no limit, no minReplicas is 1.",
        why="KServe's webhook refuses it.",
        fix="set minReplicas and maxReplicas in model.yaml",
        link=VALIDATION,
        check=_replicas,
    ),
    Rule(
        id="scale-to-zero",
        covers=("L05",),
        severity=Severity.WARNING,
        summary="minReplicas 0 works with Knative or KEDA only.",
        why="An HPA does not scale to zero; KServe then runs one replica all the time.",
        fix="set minReplicas to 1, or use the Knative mode or autoscaler keda",
        link="https://kserve.github.io/website/docs/model-serving/predictive-inference/autoscaling/kpa-autoscaler",
        check=_to_zero,
    ),
)
