"""Environment variables that KServe refuses or reserves for itself."""

from __future__ import annotations

from collections.abc import Iterator

from m2g.core.schema_errors import Violation
from m2g.validation.rules.containers import INFERENCE_SERVICE, RUNTIMES
from m2g.validation.rules.rule import WEBHOOK_SOURCE, CheckedObject, Rule, at_least

_TRANSFORMER = "transformer-container"


def _check_pythonpath(obj: CheckedObject) -> Iterator[Violation]:
    if not at_least(obj.kserve, "0.18") or obj.at("spec", "disabled") is True:
        return
    for place in obj.variables:
        if "canary" not in place and obj.at(*place, "name") == "PYTHONPATH":
            yield Violation(where=(*place, "name"), message="is PYTHONPATH, which KServe 0.18 and newer refuse")


def _check_storage_uri(obj: CheckedObject) -> Iterator[Violation]:
    for container in (place for here in obj.predictors for place in obj.places(*here, "containers")):
        if obj.at(*container, "name") == _TRANSFORMER:
            for place in obj.places(*container, "env"):
                if obj.at(*place, "name") == "STORAGE_URI":
                    message = f"is STORAGE_URI, which a {_TRANSFORMER} inside the predictor must not have"
                    yield Violation(where=(*place, "name"), message=message)


RULES = (
    Rule(
        id="env-pythonpath",
        covers=("V13", "L10"),
        kinds=(INFERENCE_SERVICE, *RUNTIMES),
        summary="No container sets PYTHONPATH.",
        why="It would replace code of the image. The webhook refuses it since KServe 0.18.",
        fix="add the code to the model or the image",
        link="https://github.com/kserve/kserve/pull/5340",
        check=_check_pythonpath,
    ),
    Rule(
        id="env-transformer-storage",
        covers=("V14",),
        summary="A transformer-container inside the predictor has no STORAGE_URI.",
        why="The model belongs to the predictor's container; the webhook refuses a second STORAGE_URI.",
        fix="remove the variable",
        link=WEBHOOK_SOURCE,
        check=_check_storage_uri,
    ),
)
