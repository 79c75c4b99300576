"""What serves the model: exactly one implementation in each component, asked in the protocol it speaks."""

from __future__ import annotations

from collections.abc import Iterator

from m2g.core.manifest import get_at
from m2g.validation.rules.containers import LEGACY
from m2g.validation.rules.rule import VALIDATION, Fault, Rule, Subject, issue

_MAIN = "kserve-container"


def _one(subject: Subject) -> Iterator[Fault]:
    for here in subject.predictors:
        names = [get_at(container, "name") for container in subject.items(*here, "containers")]
        predictor = subject.mapping(*here)
        found = [key for key in (*LEGACY, "model") if key in predictor]
        if names and (not found or _MAIN in names):
            found.append("containers")
        if not found and subject.at(*here) is not None:
            yield Fault(place=here, message="has no model and no containers")
        elif len(found) > 1:
            yield Fault(place=here, message=f"has {' and '.join(found)}; exactly one is allowed")
    for name in ("transformer", "explainer"):
        if "containers" not in subject.mapping("spec", name) and name in subject.mapping("spec"):
            if not (name == "explainer" and subject.at("spec", name, "art") is not None):
                yield Fault(place=("spec", name), message="has no containers")
        elif subject.at("spec", name, "art") is not None:
            yield Fault(place=("spec", name), message="has art and containers; exactly one is allowed")


def _legacy(subject: Subject) -> Iterator[Fault]:
    for here in subject.predictors:
        predictor = subject.mapping(*here)
        for key in (key for key in LEGACY if key in predictor):
            message = f"{key} is KServe's old form; the webhook rewrites it, and Argo CD is never in sync"
            hint = f"write model: {{modelFormat: {{name: {key}}}, …}}"
            yield Fault(place=(*here, key), message=message, hint=hint)


def _name(subject: Subject) -> Iterator[Fault]:
    for here in subject.predictors:
        predictor = subject.mapping(*here)
        for key in (key for key in ("model", *LEGACY) if key in predictor):
            if subject.at(*here, key, "name"):
                yield Fault(place=(*here, key, "name"), message="must be empty; KServe names the container itself")


def _protocol(subject: Subject) -> Iterator[Fault]:
    for here in subject.predictors:
        protocol = subject.at(*here, "model", "protocolVersion")
        if subject.at(*here, "model", "modelFormat", "name") == "mlflow" and protocol not in ("v2", "grpc-v2"):
            said = "is missing, which means v1" if protocol is None else f"is {protocol!r}"
            message = f"{said}; runtimes for mlflow speak v2 only"
            yield Fault(place=(*here, "model", "protocolVersion"), message=message)


RULES = (
    Rule(
        id="one-implementation",
        covers=("V11", "L06"),
        summary="Each component has exactly one implementation: model, or containers, or art for an explainer.",
        why="KServe's webhook refuses none and more than one. Beside model only containers of another name than "
        "kserve-container may stand.",
        fix="remove all but one in the component under custom/",
        link=VALIDATION,
        check=_one,
    ),
    Rule(
        id="legacy-framework",
        covers=("L06",),
        summary="A predictor has model, not one of the old framework keys such as sklearn.",
        why="The webhook rewrites the old key into model. Git then never says what the cluster has.",
        fix="write model with modelFormat",
        link=issue(2232),
        check=_legacy,
    ),
    Rule(
        id="model-name-empty",
        covers=("V12", "L07"),
        summary="predictor.model.name is empty or not there.",
        why="It would be the container's name, which KServe sets; the webhook refuses another.",
        fix="remove it, or set it to an empty text (inside spec.canary that is what the cluster has)",
        link=VALIDATION,
        check=_name,
    ),
    Rule(
        id="mlflow-protocol",
        covers=("L07",),
        summary="A model of the format mlflow is asked in protocol v2.",
        why="An unset protocolVersion means v1, and no runtime of KServe serves mlflow in v1: nothing is deployed.",
        fix="set protocolVersion: v2",
        link="https://kserve.github.io/website/docs/model-serving/predictive-inference/frameworks/mlflow",
        check=_protocol,
    ),
)
