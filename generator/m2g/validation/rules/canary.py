"""`spec.canary`: versions that run beside the stable one, each with a share of the traffic (KServe 0.20 and newer)."""

from __future__ import annotations

from collections.abc import Iterator

from m2g.core.finding import Severity
from m2g.core.schema_errors import Violation
from m2g.validation.rules.rule import DEPLOYMENT_MODE, WEBHOOK_SOURCE, CheckedObject, Rule, issue_url

_FORBIDDEN = ("workerSpec", "maxReplicas", "scaleTarget", "scaleMetric", "autoScaling")


def _check_mode(obj: CheckedObject) -> Iterator[Violation]:
    if not obj.items("spec", "canary"):
        return
    if obj.at("metadata", "annotations", DEPLOYMENT_MODE) != "Standard":
        yield Violation(where=("spec", "canary"), message="is only allowed in Standard mode")
    if "model" not in obj.mapping("spec", "predictor"):
        yield Violation(where=("spec", "predictor"), message="must have model, because there is a canary")


def _check_names(obj: CheckedObject) -> Iterator[Violation]:
    stable = obj.text("spec", "predictor", "name")
    seen = {stable} if stable else set()
    for canary in obj.places("spec", "canary"):
        place = (*canary, "predictor", "name")
        name = obj.at(*place)
        if name is None or name == "":
            yield Violation(
                where=place, message="is missing; it distinguishes the versions", hint="set a name, such as v8"
            )
        elif isinstance(name, str):
            if name in seen:
                yield Violation(where=place, message=f"is {name!r}, which another version already uses")
            seen.add(name)


def _check_traffic(obj: CheckedObject) -> Iterator[Violation]:
    shares = [obj.number(*canary, "trafficPercent") or 0 for canary in obj.places("spec", "canary")]
    if sum(shares) > 100:
        message = f"takes {sum(shares)} percent of the traffic in total; at most 100 is allowed"
        yield Violation(where=("spec", "canary"), message=message)


def _check_fields(obj: CheckedObject) -> Iterator[Violation]:
    for canary in obj.places("spec", "canary"):
        for field in _FORBIDDEN:
            value = obj.at(*canary, "predictor", field)
            if value is not None and value != 0:
                yield Violation(where=(*canary, "predictor", field), message="is not allowed in a canary")


def _check_replicas(obj: CheckedObject) -> Iterator[Violation]:
    stable = obj.number("spec", "predictor", "minReplicas")
    for canary in obj.places("spec", "canary"):
        place = (*canary, "predictor", "minReplicas")
        count = obj.number(*place)
        if count is not None and count > (1 if stable is None else stable):
            shown = "1 (the default)" if stable is None else stable
            yield Violation(where=place, message=f"is {count}, more than the stable predictor's {shown}")


def _check_early(obj: CheckedObject) -> Iterator[Violation]:
    for canary in obj.places("spec", "canary") if obj.kserve == "0.20" else ():
        share = obj.number(*canary, "trafficPercent")
        if share:
            message = f"is {share}, but KServe 0.20 routes traffic to a canary before it is ready"
            yield Violation(where=(*canary, "trafficPercent"), message=message)


RULES = (
    Rule(
        id="canary-mode",
        covers=("V20", "L12"),
        summary="spec.canary needs Standard mode and a predictor with model.",
        why="The webhook requires Standard in the annotation. Only the Gateway API splits the traffic "
        "(enableGatewayApi in KServe's configuration): without it the canary runs but gets no traffic.",
        fix="set kserve.mode: Standard for this environment in m2g.yaml, or remove the canary",
        link="https://github.com/kserve/kserve/pull/5672",
        check=_check_mode,
    ),
    Rule(
        id="canary-names",
        covers=("V20", "L12"),
        summary="Each canary's predictor has a name, and no other version has the same name.",
        why="KServe names Deployments, Services and status entries after it. The webhook refuses a missing or "
        "duplicate name.",
        fix="give each version a name of its own, such as v7 and v8",
        link=WEBHOOK_SOURCE,
        check=_check_names,
    ),
    Rule(
        id="canary-traffic",
        covers=("V20", "L12"),
        summary="All canaries together take at most 100 percent of the traffic.",
        why="The stable version gets the rest; the webhook refuses a sum above 100.",
        fix="lower trafficPercent",
        link=WEBHOOK_SOURCE,
        check=_check_traffic,
    ),
    Rule(
        id="canary-fields",
        covers=("V20", "L12"),
        summary="A canary has a fixed number of replicas on one node: no autoscaling, no workerSpec.",
        why="KServe does not scale a canary; the webhook refuses these fields.",
        fix="remove the field; minReplicas sets the number of replicas of a canary",
        link=WEBHOOK_SOURCE,
        check=_check_fields,
    ),
    Rule(
        id="canary-replicas",
        covers=("V20", "L12"),
        summary="A canary has at most as many replicas as the stable predictor's minReplicas.",
        why="KServe's webhook refuses more.",
        fix="lower the canary's minReplicas, or raise the stable one's",
        link=WEBHOOK_SOURCE,
        check=_check_replicas,
    ),
    Rule(
        id="canary-readiness",
        covers=("L12",),
        severity=Severity.WARNING,
        summary="In KServe 0.20 a canary starts with trafficPercent: 0.",
        why="KServe 0.20 routes traffic to the canary before it is ready, and callers get 503. KServe 0.21 waits.",
        fix="start with trafficPercent: 0 and raise it when the canary is ready, or upgrade to KServe 0.21",
        link=issue_url(5983),
        check=_check_early,
    ),
)
