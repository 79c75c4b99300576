"""Environment variables that KServe refuses or reserves for itself."""

from __future__ import annotations

from collections.abc import Iterator

from m2g.core.manifest import get_at
from m2g.core.schema_errors import Violation
from m2g.serving.canary import name_service
from m2g.validation.rules.containers import INFERENCE_SERVICE, RUNTIMES
from m2g.validation.rules.rule import WEBHOOK_SOURCE, CheckedObject, Rule, at_least, issue_url

_TRANSFORMER = "transformer-container"
_MLSERVER = "kserve-mlserver"
_OF_RUNTIME = {"MLSERVER_MODEL_URI": "/mnt/models", "MLSERVER_HTTP_PORT": "8080"}


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


def _check_mlserver(obj: CheckedObject) -> Iterator[Violation]:
    """Only where the stock runtime serves: an image of one's own may listen and load where it wants.

    A candidate answers under the name of the stable service beside it, because that name is part of V2 paths.
    """
    others = _list_services(obj)
    for here in obj.predictors:
        model = (*here, "model")
        if obj.text(*model, "runtime") != _MLSERVER and obj.text(*model, "modelFormat", "name") != "mlflow":
            continue
        expected = {**_OF_RUNTIME, "MLSERVER_MODEL_NAME": obj.text("metadata", "name")}
        for place in obj.places(*model, "env"):
            name, value = obj.text(*place, "name"), obj.text(*place, "value")
            if name in expected and value != expected[name] and not (name.endswith("_NAME") and value in others):
                message = f"sets {name} to {value[:60]!r}, and KServe needs {expected[name]!r}"
                yield Violation(where=(*place, "value"), message=message)


def _list_services(obj: CheckedObject) -> set[str]:
    """The InferenceServices of the overlay whose candidate this one is."""
    own = obj.text("metadata", "name")
    names = [get_at(item, "metadata", "name") for item in obj.overlay or () if item.get("kind") == INFERENCE_SERVICE]
    return {name for name in names if isinstance(name, str) and own == name_service(name)}


RULES = (
    Rule(
        id="env-mlserver",
        summary="A model on MLServer keeps the name, the folder and the port that KServe gives it.",
        why="KServe sets MLSERVER_MODEL_NAME, MLSERVER_MODEL_URI and the port only if the object does not. With other "
        "values MLServer loads nothing, answers under another name, or listens where nobody asks.",
        fix="remove the variable",
        link=issue_url(642, "SeldonIO/MLServer"),
        check=_check_mlserver,
    ),
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
