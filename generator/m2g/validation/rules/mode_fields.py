"""Fields that only one of the two modes supports, and how Standard mode replaces pods."""

from __future__ import annotations

import re
from collections.abc import Iterator

from m2g.core.finding import Severity
from m2g.core.schema_errors import Violation
from m2g.validation.rules.containers import Place
from m2g.validation.rules.rule import WEBHOOK_SOURCE, CheckedObject, Rule, issue_url

_PERCENT = re.compile(r"[0-9]+%")
_TAGS = ("metadata", "annotations", "serving.kserve.io/enable-tag-routing")


def _check_strategy(obj: CheckedObject) -> Iterator[Violation]:
    for name in obj.components:
        here: Place = ("spec", name, "deploymentStrategy")
        if obj.at(*here) is None:
            continue
        if not obj.standard:
            yield Violation(
                where=here, message="is only allowed in Standard mode", hint="remove it, or use Standard mode"
            )
            continue
        rolling: Place = (*here, "rollingUpdate")
        if obj.at(*here, "type") == "Recreate" and obj.at(*rolling) is not None:
            yield Violation(where=rolling, message="is not allowed with type: Recreate", hint="remove it")
        amounts = [(*rolling, field) for field in ("maxSurge", "maxUnavailable")]
        for place in amounts:
            text = obj.at(*place)
            if isinstance(text, str) and not _PERCENT.fullmatch(text):
                message = f"is the string {text!r}; it must be a number, or a percentage such as 25%"
                hint = f"write {text} without quotes" if text.isdigit() else ""
                yield Violation(where=place, message=message, hint=hint)
        for place in amounts:
            number = obj.number(*place)
            if number is not None and not 0 <= number < 1 << 31:
                yield Violation(where=place, message=f"is {number}; it must be between 0 and {(1 << 31) - 1}")
        if all(obj.at(*place) in (0, "0%") for place in amounts):
            message = "sets both maxSurge and maxUnavailable to 0, so no pod can be replaced"
            yield Violation(where=rolling, message=message)


def _check_canary_percent(obj: CheckedObject) -> Iterator[Violation]:
    for name in obj.components if obj.standard else ():
        if obj.at("spec", name, "canaryTrafficPercent") is not None:
            message = "is ignored in Standard mode; all traffic goes to the new version at once"
            yield Violation(where=("spec", name, "canaryTrafficPercent"), message=message)


def _check_knative_only(obj: CheckedObject) -> Iterator[Violation]:
    if not obj.standard:
        return
    for name in obj.components:
        if (obj.number("spec", name, "containerConcurrency") or 0) > 0:
            yield Violation(where=("spec", name, "containerConcurrency"), message="is ignored in Standard mode")
    if obj.at(*_TAGS) is not None:
        yield Violation(where=_TAGS, message="is ignored in Standard mode")


RULES = (
    Rule(
        id="deployment-strategy",
        covers=("V7", "L14"),
        summary="deploymentStrategy is used in Standard mode only, and allows pods to be replaced.",
        why="In Knative mode the webhook refuses it. In Standard mode KServe copies it into the Deployment, which "
        'accepts 1 and "25%", but not "1".',
        fix="set maxSurge: 1 and maxUnavailable: 0",
        link="https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#strategy",
        check=_check_strategy,
    ),
    Rule(
        id="canary-percent-mode",
        covers=("L13",),
        summary="canaryTrafficPercent is used in Knative mode only.",
        why="In Standard mode KServe accepts and ignores it, so a canary of 10 percent gets all the traffic.",
        fix="use spec.canary (KServe 0.20 and newer), or Knative mode",
        link=issue_url(5335),
        check=_check_canary_percent,
    ),
    Rule(
        id="knative-only",
        severity=Severity.WARNING,
        summary="Standard mode does not use fields that only Knative supports.",
        why="KServe accepts and ignores containerConcurrency and tag routing.",
        fix="remove it, or use Knative mode",
        link=WEBHOOK_SOURCE,
        check=_check_knative_only,
    ),
)
