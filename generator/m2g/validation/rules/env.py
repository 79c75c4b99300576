"""Environment variables that KServe refuses, loses, or takes for its own."""

from __future__ import annotations

from collections.abc import Iterator

from m2g.core.finding import Severity
from m2g.validation.rules.containers import INFERENCE_SERVICE, RUNTIMES
from m2g.validation.rules.rule import VALIDATION, Fault, Rule, Subject, issue, since

_TRANSFORMER = "transformer-container"


def _pythonpath(subject: Subject) -> Iterator[Fault]:
    for place in subject.variables if since(subject.kserve, "0.18") else ():
        if subject.at(*place, "name") == "PYTHONPATH":
            yield Fault(place=(*place, "name"), message="is PYTHONPATH, which KServe refuses since 0.18")


def _storage_uri(subject: Subject) -> Iterator[Fault]:
    for container in (place for here in subject.predictors for place in subject.places(*here, "containers")):
        if subject.at(*container, "name") == _TRANSFORMER:
            for place in subject.places(*container, "env"):
                if subject.at(*place, "name") == "STORAGE_URI":
                    message = f"is STORAGE_URI, which the {_TRANSFORMER} beside a predictor must not have"
                    yield Fault(place=(*place, "name"), message=message)


def _empty(subject: Subject) -> Iterator[Fault]:
    for place in subject.variables:
        if subject.at(*place, "value") == "":
            yield Fault(place=(*place, "value"), message="is empty; the webhook drops it, and Git never is what runs")


RULES = (
    Rule(
        id="env-pythonpath",
        covers=("V13", "L10"),
        kinds=(INFERENCE_SERVICE, *RUNTIMES),
        summary="No container sets PYTHONPATH.",
        why="It would run other code than the image's; the webhook refuses it since KServe 0.18.",
        fix="put the code into the model or the image",
        link="https://github.com/kserve/kserve/pull/5340",
        check=_pythonpath,
    ),
    Rule(
        id="env-transformer-storage",
        covers=("V14",),
        summary="A transformer-container inside the predictor has no STORAGE_URI.",
        why="The model belongs to the predictor's container; the webhook refuses a second.",
        fix="remove the variable",
        link=VALIDATION,
        check=_storage_uri,
    ),
    Rule(
        id="env-empty",
        covers=("L22",),
        kinds=(INFERENCE_SERVICE, *RUNTIMES),
        severity=Severity.WARNING,
        summary="No environment variable has an empty value.",
        why="The webhook reads and writes the object; an empty value is not written, so Argo CD is never in sync.",
        fix="leave value out: a variable without value is empty",
        link=issue(2232),
        check=_empty,
    ),
)
