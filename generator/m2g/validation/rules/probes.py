"""Probes: they ask for the model that is served, on a port, with one handler."""

from __future__ import annotations

import re
from collections.abc import Iterator

from m2g.core.manifest import get_at
from m2g.core.schema_errors import Violation
from m2g.validation.rules.containers import KINDS, Place
from m2g.validation.rules.rule import CheckedObject, Rule, issue_url

_HANDLERS = ("httpGet", "tcpSocket", "grpc", "exec")
_WITH_PORT = ("httpGet", "tcpSocket")
_LAST = 65535
_MODEL_ARGUMENT = "--model_name="
_MODEL_IN_PATH = re.compile(r"/v2/models/([^/]+)(/.*)?")


def _check_model(obj: CheckedObject) -> Iterator[Violation]:
    for probe in obj.probes:
        asked = _MODEL_IN_PATH.fullmatch(obj.text(*probe, "httpGet", "path"))
        served = _served_name(obj, probe[:-1])
        if asked and probe[1] != "transformer" and asked[1] != served:
            message = f"asks for the model {asked[1]!r}, but the served model is {served!r}; it never becomes ready"
            yield Violation(where=(*probe, "httpGet", "path"), message=message)


def _served_name(obj: CheckedObject, place: Place) -> str:
    """MLSERVER_MODEL_NAME or --model_name names the model; with a runtime, KServe sets it to the object's name."""
    for variable in obj.items(*place, "env"):
        if get_at(variable, "name") == "MLSERVER_MODEL_NAME":
            return str(get_at(variable, "value"))
    for argument in reversed(obj.items(*place, "args")):
        if str(argument).startswith(_MODEL_ARGUMENT):
            return str(argument).removeprefix(_MODEL_ARGUMENT)
    return obj.text("metadata", "name")


def _check_port(obj: CheckedObject) -> Iterator[Violation]:
    for probe in obj.probes:
        for handler in _WITH_PORT:
            here = (*probe, handler)
            if handler not in obj.mapping(*probe) or obj.at(*here, "port") is not None:
                continue
            if obj.standard or "canary" in here:
                yield Violation(where=(*here, "port"), message="is missing; only Knative fills it in")
            elif any(isinstance(step, int) for step in here):
                message = "is missing in a list; KServe's webhook stores port: 0, so Git and the cluster always differ"
                yield Violation(where=(*here, "port"), message=message)


def _check_handler(obj: CheckedObject) -> Iterator[Violation]:
    for probe in obj.probes:
        handlers = [handler for handler in _HANDLERS if handler in obj.mapping(*probe)]
        if len(handlers) > 1:
            yield Violation(where=probe, message=f"has {' and '.join(handlers)}; exactly one is allowed")


def _check_ports(obj: CheckedObject) -> Iterator[Violation]:
    places = [(*place, "containerPort") for here in obj.containers for place in obj.places(*here, "ports")]
    for probe in obj.probes:
        places += [(*probe, handler, "port") for handler in obj.mapping(*probe) if handler in (*_WITH_PORT, "grpc")]
    for place in places:
        number = obj.number(*place)
        if number is not None and not 1 <= number <= _LAST:
            yield Violation(where=place, message=f"is {number}; it must be between 1 and {_LAST}")


RULES = (
    Rule(
        id="probe-model",
        covers=("L18",),
        summary="A probe's path names the model that is served.",
        why="KServe serves the model under the InferenceService's name. A probe for another name always fails, and the "
        "service never becomes ready.",
        fix="remove the patch under custom/ that changes the name or the probe; m2g writes both",
        link=issue_url(2056, "SeldonIO/MLServer"),
        check=_check_model,
    ),
    Rule(
        id="probe-port",
        summary="In Standard mode, in a canary and in a list of containers, a probe has a port.",
        why="The CRD does not require it, because Knative fills it in. In Standard mode Kubernetes refuses the "
        "Deployment without it. In a list of containers the webhook adds port: 0, and Argo CD always shows OutOfSync.",
        fix="set port: 8080, or the port that the container listens on",
        link="https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/",
        check=_check_port,
    ),
    Rule(
        id="port-range",
        kinds=KINDS,
        summary="Ports are between 1 and 65535.",
        why="The Kubernetes schemas do not check it: KServe's object is accepted, and then its Deployment is refused.",
        fix="set the port that the container listens on",
        link="https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#ports",
        check=_check_ports,
    ),
    Rule(
        id="probe-handler",
        summary="A probe has one handler: httpGet, tcpSocket, grpc or exec.",
        why="Kubernetes refuses a probe with more than one. A patch that adds a handler often keeps the old one.",
        fix="remove all but one handler",
        link="https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#types-of-probe",
        check=_check_handler,
    ),
)
