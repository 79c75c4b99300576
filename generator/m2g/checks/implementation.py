"""What serves the model: exactly one implementation, asked in the protocol it speaks, and probed for this model."""

from __future__ import annotations

import re
from collections.abc import Iterator

from m2g.checks.rule import Fault, Place, Rule, Subject
from m2g.manifest import at

_LEGACY = (
    *("sklearn", "xgboost", "lightgbm", "tensorflow", "pytorch", "onnx"),
    *("triton", "huggingface", "pmml", "paddle"),
)
_MAIN = "kserve-container"
_PROBES = ("readinessProbe", "startupProbe", "livenessProbe")
_MODEL_IN_PATH = re.compile(r"/v2/models/([^/]+)(/.*)?")


def predictors(subject: Subject) -> Iterator[Place]:
    """The place of the stable predictor and of each canary's."""
    yield ("spec", "predictor")
    yield from (("spec", "canary", index, "predictor") for index in range(len(subject.items("spec", "canary"))))


def _one(subject: Subject) -> Iterator[Fault]:
    for here in predictors(subject):
        predictor = subject.mapping(*here)
        names = [at(container, "name") for container in subject.items(*here, "containers")]
        old = [key for key in _LEGACY if key in predictor]
        found = [*old, *(["model"] if "model" in predictor else [])]
        if names and (not found or _MAIN in names):
            found.append("containers")
        if old:
            message = f"{old[0]} is KServe's old form; the webhook rewrites it, and Argo CD is never in sync"
            hint = f"write model: {{modelFormat: {{name: {old[0]}}}, …}}"
            yield Fault(place=(*here, old[0]), message=message, hint=hint)
        if not found:
            yield Fault(place=here, message="has no model and no containers")
        elif len(found) > 1:
            yield Fault(place=here, message=f"has {' and '.join(found)}; exactly one is allowed")


def _model(subject: Subject) -> Iterator[Fault]:
    for here in predictors(subject):
        if not subject.mapping(*here, "model"):
            continue
        name = subject.text(*here, "model", "modelFormat", "name")
        if not name:
            yield Fault(place=(*here, "model", "modelFormat", "name"), message="is missing, so no runtime fits")
        if subject.at(*here, "model", "name"):
            yield Fault(place=(*here, "model", "name"), message="must be empty; KServe names the container itself")
        protocol = subject.at(*here, "model", "protocolVersion")
        if name == "mlflow" and protocol not in ("v2", "grpc-v2"):
            said = "is missing, which means v1" if protocol is None else f"is {protocol!r}"
            message = f"{said}; runtimes for mlflow speak v2 only"
            yield Fault(place=(*here, "model", "protocolVersion"), message=message, hint="set protocolVersion: v2")


def _probes(subject: Subject) -> Iterator[Fault]:
    for here in predictors(subject):
        containers = [(*here, "containers", i) for i in range(len(subject.items(*here, "containers")))]
        for place in ((*here, "model"), *containers):
            served = _served(subject, place)
            for probe in _PROBES:
                where = (*place, probe, "httpGet", "path")
                found = _MODEL_IN_PATH.fullmatch(subject.text(*where))
                if found and found[1] != served:
                    message = f"asks for the model {found[1]!r}, but {served!r} is served: it is never ready"
                    yield Fault(place=where, message=message)


def _served(subject: Subject, place: Place) -> str:
    """MLSERVER_MODEL_NAME names the model; for the runtime KServe sets it to the object's name."""
    for variable in subject.items(*place, "env"):
        if at(variable, "name") == "MLSERVER_MODEL_NAME":
            return str(at(variable, "value"))
    return subject.text("metadata", "name")


RULES = (
    Rule(
        id="one-implementation",
        summary="A predictor has exactly one of model and containers, and not an old framework key.",
        fix="remove all but one in the component under custom/",
        check=_one,
        why="KServe's webhook; https://github.com/kserve/kserve/issues/2232",
    ),
    Rule(
        id="model-format",
        summary="modelFormat is named, model.name is empty, and mlflow is asked in protocol v2.",
        fix="let m2g write predictor.model; remove the patch under custom/ that changes it",
        check=_model,
        why="an unset protocolVersion means v1, and no runtime serves mlflow in v1",
    ),
    Rule(
        id="probe-model",
        summary="The model that a probe's path names is the one that is served.",
        fix="let m2g write the probes; remove the patch under custom/ that changes name or probe",
        check=_probes,
        why="KServe serves the model under the InferenceService's name",
    ),
)
