"""`spec.canary`: versions beside the stable one, each with its share of the traffic (KServe 0.20 and newer)."""

from __future__ import annotations

from collections.abc import Iterator

from m2g.core.finding import Severity
from m2g.validation.rules.rule import MODE, VALIDATION, Fault, Rule, Subject, issue

_FORBIDDEN = ("workerSpec", "maxReplicas", "scaleTarget", "scaleMetric", "autoScaling")


def _mode(subject: Subject) -> Iterator[Fault]:
    if not subject.items("spec", "canary"):
        return
    if subject.at("metadata", "annotations", MODE) != "Standard":
        yield Fault(place=("spec", "canary"), message="is allowed in Standard mode only")
    if "model" not in subject.mapping("spec", "predictor"):
        yield Fault(place=("spec", "predictor"), message="must have model, since there is a canary")


def _names(subject: Subject) -> Iterator[Fault]:
    stable = subject.text("spec", "predictor", "name")
    seen = {stable} if stable else set()
    for canary in subject.places("spec", "canary"):
        place = (*canary, "predictor", "name")
        name = subject.at(*place)
        if name is None or name == "":
            yield Fault(place=place, message="is missing; it tells the versions apart", hint="name it, such as v8")
        elif isinstance(name, str):
            if name in seen:
                yield Fault(place=place, message=f"is {name!r}, the name of another version already")
            seen.add(name)


def _traffic(subject: Subject) -> Iterator[Fault]:
    shares = [subject.number(*canary, "trafficPercent") or 0 for canary in subject.places("spec", "canary")]
    if sum(shares) > 100:
        yield Fault(
            place=("spec", "canary"), message=f"the canaries take {sum(shares)} percent of the traffic together"
        )


def _fields(subject: Subject) -> Iterator[Fault]:
    for canary in subject.places("spec", "canary"):
        for field in _FORBIDDEN:
            value = subject.at(*canary, "predictor", field)
            if value is not None and value != 0:
                yield Fault(place=(*canary, "predictor", field), message="is not allowed in a canary")


def _replicas(subject: Subject) -> Iterator[Fault]:
    stable = subject.number("spec", "predictor", "minReplicas")
    for canary in subject.places("spec", "canary"):
        place = (*canary, "predictor", "minReplicas")
        count = subject.number(*place)
        if count is not None and count > (1 if stable is None else stable):
            shown = "1 (the default)" if stable is None else stable
            yield Fault(place=place, message=f"is {count}, above the stable predictor's {shown}")


def _early(subject: Subject) -> Iterator[Fault]:
    for canary in subject.places("spec", "canary") if subject.kserve == "0.20" else ():
        if subject.number(*canary, "trafficPercent"):
            message = "KServe 0.20 sends traffic to a canary that is not ready yet"
            yield Fault(place=(*canary, "trafficPercent"), message=message)


RULES = (
    Rule(
        id="canary-mode",
        covers=("V20", "L12"),
        summary="spec.canary is used in Standard mode, beside a predictor with model.",
        why="The webhook wants the word Standard in the annotation. The traffic is split by the Gateway API only "
        "(enableGatewayApi in KServe's configuration): without it the canary runs and gets none.",
        fix="set kserve.mode: Standard for this environment, or remove the canary",
        link="https://github.com/kserve/kserve/pull/5672",
        check=_mode,
    ),
    Rule(
        id="canary-names",
        covers=("V20", "L12"),
        summary="Each canary's predictor has a name, and no two versions have the same.",
        why="Deployments, Services and status are told apart by it; the webhook refuses none and equal ones.",
        fix="name each version for itself, such as v7 and v8",
        link=VALIDATION,
        check=_names,
    ),
    Rule(
        id="canary-traffic",
        covers=("V20", "L12"),
        summary="The canaries take at most 100 percent of the traffic together.",
        why="The stable version gets what is left; the webhook refuses less than nothing.",
        fix="lower trafficPercent",
        link=VALIDATION,
        check=_traffic,
    ),
    Rule(
        id="canary-fields",
        covers=("V20", "L12"),
        summary="A canary has a fixed number of replicas on one node: no scaling, no maxReplicas, no workerSpec.",
        why="KServe does not scale a canary; the webhook refuses the fields.",
        fix="remove it; minReplicas says how many replicas the canary has",
        link=VALIDATION,
        check=_fields,
    ),
    Rule(
        id="canary-replicas",
        covers=("V20", "L12"),
        summary="A canary has at most as many replicas as the stable predictor's minReplicas.",
        why="KServe's webhook refuses more.",
        fix="lower the canary's minReplicas, or raise the stable one's",
        link=VALIDATION,
        check=_replicas,
    ),
    Rule(
        id="canary-readiness",
        covers=("L12",),
        severity=Severity.WARNING,
        summary="In KServe 0.20 a canary starts with trafficPercent 0.",
        why="0.20 routes to the canary before it is ready, and callers get 503; 0.21 waits.",
        fix="start with trafficPercent: 0 and raise it when the canary is ready, or move to KServe 0.21",
        link=issue(5983),
        check=_early,
    ),
)
