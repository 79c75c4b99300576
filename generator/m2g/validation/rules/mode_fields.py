"""Fields that only one of the two modes has, and how the Standard mode replaces pods."""

from __future__ import annotations

import re
from collections.abc import Iterator

from m2g.core.finding import Severity
from m2g.validation.rules.containers import Place
from m2g.validation.rules.rule import VALIDATION, Fault, Rule, Subject, issue

_PERCENT = re.compile(r"[0-9]+%")
_TAGS = ("metadata", "annotations", "serving.kserve.io/enable-tag-routing")


def _strategy(subject: Subject) -> Iterator[Fault]:
    for name in subject.components:
        here: Place = ("spec", name, "deploymentStrategy")
        if subject.at(*here) is None:
            continue
        if not subject.standard:
            yield Fault(place=here, message="is allowed only in Standard mode", hint="remove it, or use Standard")
            continue
        rolling: Place = (*here, "rollingUpdate")
        if subject.at(*here, "type") == "Recreate" and subject.at(*rolling) is not None:
            yield Fault(place=rolling, message="does not go with the type Recreate", hint="remove it")
        amounts = [(*rolling, field) for field in ("maxSurge", "maxUnavailable")]
        for place in amounts:
            text = subject.at(*place)
            if isinstance(text, str) and not _PERCENT.fullmatch(text):
                hint = f"write {text} without quotes" if text.isdigit() else ""
                yield Fault(place=place, message=f"is the text {text!r}; it must be a number or like 25%", hint=hint)
        if all(subject.at(*place) in (0, "0%") for place in amounts):
            yield Fault(place=rolling, message="maxSurge and maxUnavailable are both 0: no pod could be replaced")


def _canary_percent(subject: Subject) -> Iterator[Fault]:
    for name in subject.components if subject.standard else ():
        if subject.at("spec", name, "canaryTrafficPercent") is not None:
            message = "is ignored in Standard mode: all traffic goes to the new version at once"
            yield Fault(place=("spec", name, "canaryTrafficPercent"), message=message)


def _knative_only(subject: Subject) -> Iterator[Fault]:
    if not subject.standard:
        return
    for name in subject.components:
        if (subject.number("spec", name, "containerConcurrency") or 0) > 0:
            yield Fault(place=("spec", name, "containerConcurrency"), message="is ignored in Standard mode")
    if subject.at(*_TAGS) is not None:
        yield Fault(place=_TAGS, message="is ignored in Standard mode")


RULES = (
    Rule(
        id="deployment-strategy",
        covers=("V7", "L14"),
        summary="deploymentStrategy is used in Standard mode only, with numbers or percentages that let pods go.",
        why="In Knative mode the webhook refuses it. In Standard mode it is copied into the Deployment, which takes "
        '1 and "25%", not "1".',
        fix="write maxSurge: 1 and maxUnavailable: 0",
        link="https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#strategy",
        check=_strategy,
    ),
    Rule(
        id="canary-percent-mode",
        covers=("L13",),
        summary="canaryTrafficPercent is used in Knative mode only.",
        why="In Standard mode it is accepted and ignored, so a canary of 10 percent gets everything.",
        fix="use spec.canary (KServe 0.20 and newer), or the Knative mode",
        link=issue(5335),
        check=_canary_percent,
    ),
    Rule(
        id="knative-only",
        severity=Severity.WARNING,
        summary="What only Knative does is not asked for in Standard mode.",
        why="containerConcurrency and tag routing are accepted and ignored.",
        fix="remove it, or use the Knative mode",
        link=VALIDATION,
        check=_knative_only,
    ),
)
