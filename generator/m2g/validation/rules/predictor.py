"""What serves the model: one implementation in each component, with the protocol that it supports."""

from __future__ import annotations

from collections.abc import Iterator

from m2g.core.manifest import get_at
from m2g.core.schema_errors import Violation
from m2g.serving.stored import LEGACY_FORMATS
from m2g.validation.rules.rule import WEBHOOK_SOURCE, CheckedObject, Rule, issue_url

_MAIN = "kserve-container"


def _check_one(obj: CheckedObject) -> Iterator[Violation]:
    for here in obj.predictors:
        names = [get_at(container, "name") for container in obj.items(*here, "containers")]
        predictor = obj.mapping(*here)
        present = [key for key in (*LEGACY_FORMATS, "model") if key in predictor]
        if names and (not present or _MAIN in names):
            present.append("containers")
        if not present and obj.at(*here) is not None:
            yield Violation(where=here, message="has no model and no containers", hint="add one of the two")
        elif len(present) > 1:
            yield Violation(where=here, message=f"has {' and '.join(present)}; exactly one is allowed")
    for name in ("transformer", "explainer"):
        if not obj.items("spec", name, "containers") and name in obj.mapping("spec"):
            if not (name == "explainer" and obj.at("spec", name, "art") is not None):
                yield Violation(where=("spec", name), message="has no containers", hint="add a container")
        elif obj.at("spec", name, "art") is not None:
            yield Violation(where=("spec", name), message="has art and containers; exactly one is allowed")


def _check_legacy(obj: CheckedObject) -> Iterator[Violation]:
    for here in obj.predictors:
        predictor = obj.mapping(*here)
        for key in (key for key in LEGACY_FORMATS if key in predictor):
            message = "is KServe's old form; the webhook rewrites it, so Argo CD always shows OutOfSync"
            hint = f"use model with modelFormat: {{name: {key}}}"
            yield Violation(where=(*here, key), message=message, hint=hint)


def _check_name(obj: CheckedObject) -> Iterator[Violation]:
    here = obj.predictors[0]  # the webhook does not look at those of canaries
    predictor = obj.mapping(*here)
    for key in (key for key in ("model", *LEGACY_FORMATS) if key in predictor):
        if obj.at(*here, key, "name"):
            yield Violation(where=(*here, key, "name"), message="must be empty; KServe sets the container's name")


def _check_protocol(obj: CheckedObject) -> Iterator[Violation]:
    for here in obj.predictors:
        protocol = obj.at(*here, "model", "protocolVersion")
        runtime = obj.text(*here, "model", "runtime")
        if runtime and (protocol is None or not runtime.startswith("kserve-")):
            continue  # KServe takes the runtime's own, and a runtime of somebody's own may have another one
        if obj.at(*here, "model", "modelFormat", "name") == "mlflow" and protocol not in ("v2", "grpc-v2"):
            current = "is missing, which means v1" if protocol is None else f"is {protocol!r}"
            message = f"{current}; KServe's runtimes for mlflow support v2 only"
            yield Violation(where=(*here, "model", "protocolVersion"), message=message)


RULES = (
    Rule(
        id="one-implementation",
        covers=("V11", "L06"),
        summary="Each component has one implementation: model, containers, or (explainer only) art.",
        why="KServe's webhook refuses none and more than one. Beside model, no container may be named "
        "kserve-container.",
        fix="remove all but one in models/<slug>/custom/<environment>/kustomization.yaml",
        link=WEBHOOK_SOURCE,
        check=_check_one,
    ),
    Rule(
        id="legacy-framework",
        covers=("L06",),
        summary="A predictor uses model, not an old framework key such as sklearn.",
        why="The webhook rewrites the old key to model, so Git never matches the cluster.",
        fix="use model with modelFormat",
        link=issue_url(2232),
        check=_check_legacy,
    ),
    Rule(
        id="model-name-empty",
        covers=("V12", "L07"),
        summary="predictor.model.name is empty or missing.",
        why="It is the name of the container, which KServe sets; the webhook refuses any other.",
        fix='remove it, or, inside spec.canary, set it to ""',
        link=WEBHOOK_SOURCE,
        check=_check_name,
    ),
    Rule(
        id="mlflow-protocol",
        covers=("L07",),
        summary="A model of the format mlflow uses protocol v2.",
        why="Without a runtime, a missing protocolVersion means v1, and no KServe runtime serves mlflow in v1: "
        "nothing is deployed.",
        fix="set protocolVersion: v2",
        link="https://kserve.github.io/website/docs/model-serving/predictive-inference/frameworks/mlflow",
        check=_check_protocol,
    ),
)
