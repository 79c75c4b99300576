"""Whether the runtime can load the model, by the verdict of `m2g.compat.check`."""

from __future__ import annotations

from collections.abc import Iterator

from m2g.core.finding import Severity
from m2g.core.schema_errors import Violation
from m2g.validation.rules.rule import CheckedObject, Rule, issue_url

_PLACE = ("spec", "predictor", "model", "runtime")


def _check_fails(obj: CheckedObject) -> Iterator[Violation]:
    yield from _compare(obj, "fails", "does not load")


def _check_unsure(obj: CheckedObject) -> Iterator[Violation]:
    yield from _compare(obj, "unknown", "may not load")


def _compare(obj: CheckedObject, answer: str, verb: str) -> Iterator[Violation]:
    verdict = obj.verdict
    if verdict is None or verdict.answer != answer:
        return
    reasons = "; ".join(reason.text for reason in verdict.reasons[:3])
    fix = verdict.reasons[0].fix if verdict.reasons else ""
    yield Violation(where=_PLACE, message=f"{verdict.runtime} {verb} the model: {reasons}", hint=fix)


_FIX = (
    "log the model again as the message says, or set settings.profile in model.yaml to mlserver-image or mlflow-image, "
    "or describe your own runtime: `m2g runtimes import --help`"
)

RULES = (
    Rule(
        id="runtime-fails",
        covers=("L20",),
        summary="The runtime can load the model and answer for it, as far as the files show.",
        why="A runtime never installs what a model requires. With a file that its MLflow cannot read (skops, pt2), a "
        "class that was pickled with another Python, or a missing package, the pod starts and fails again and again.",
        fix=_FIX,
        link=issue_url(18759, "mlflow/mlflow"),
        check=_check_fails,
    ),
    Rule(
        id="runtime-unsure",
        covers=("L20",),
        severity=Severity.WARNING,
        summary="The runtime is known to load the model: it has the libraries of the saved model.",
        why="A pickle of another scikit-learn or Python version often loads, and sometimes does not. m2g knows nothing "
        "of a runtime that nobody has described.",
        fix=f"{_FIX}; or test it: `m2g smoke --help`",
        link=issue_url(3733),
        check=_check_unsure,
    ),
)
