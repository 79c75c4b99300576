"""Whether the runtime that is to load the model can, by the gate's verdict (`m2g.compat.check`)."""

from __future__ import annotations

from collections.abc import Iterator

from m2g.core.finding import Severity
from m2g.validation.rules.rule import Fault, Rule, Subject, issue

_PLACE = ("spec", "predictor", "model", "runtime")


def _fails(subject: Subject) -> Iterator[Fault]:
    yield from _faults(subject, "fails", "does not load")


def _unsure(subject: Subject) -> Iterator[Fault]:
    yield from _faults(subject, "unknown", "may not load")


def _faults(subject: Subject, answer: str, verb: str) -> Iterator[Fault]:
    verdict = subject.verdict
    if verdict is None or verdict.answer != answer:
        return
    why = "; ".join(reason.text for reason in verdict.reasons[:3])
    fix = verdict.reasons[0].fix if verdict.reasons else ""
    yield Fault(place=_PLACE, message=f"{verdict.runtime} {verb} the model: {why}", hint=fix)


_FIX = (
    "log the model again as the reason says; or set profile: mlserver-image or mlflow-image; or describe your runtime"
)

RULES = (
    Rule(
        id="runtime-fails",
        covers=("L20",),
        summary="The runtime loads the model and can answer for it, as far as their files tell.",
        why="A runtime never installs what a model requires. A file that its MLflow cannot read (skops, pt2), a class "
        "that was pickled with another Python, a package that is not there: the pod starts and fails, over and over.",
        fix=_FIX,
        link=issue(18759, "mlflow/mlflow"),
        check=_fails,
    ),
    Rule(
        id="runtime-unsure",
        covers=("L20",),
        severity=Severity.WARNING,
        summary="The runtime is known to load the model: its libraries are those that the model was saved with.",
        why="A pickle of another scikit-learn or Python often loads, and sometimes does not; a runtime that nobody has "
        "described may be anything.",
        fix=f"{_FIX} (m2g runtimes import); or try it: m2g smoke",
        link=issue(3733),
        check=_unsure,
    ),
)
