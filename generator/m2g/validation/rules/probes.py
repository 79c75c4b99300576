"""Probes: they ask for the model that is served, at a port, in one way."""

from __future__ import annotations

import re
from collections.abc import Iterator

from m2g.core.manifest import get_at
from m2g.validation.rules.containers import KINDS, Place
from m2g.validation.rules.rule import Fault, Rule, Subject, issue

_HANDLERS = ("httpGet", "tcpSocket", "grpc", "exec")
_WITH_PORT = ("httpGet", "tcpSocket")
_LAST = 65535
_MODEL_IN_PATH = re.compile(r"/v2/models/([^/]+)(/.*)?")


def _model(subject: Subject) -> Iterator[Fault]:
    for probe in subject.probes:
        found = _MODEL_IN_PATH.fullmatch(subject.text(*probe, "httpGet", "path"))
        served = _served(subject, probe[:-1])
        if found and probe[1] != "transformer" and found[1] != served:
            message = f"asks for the model {found[1]!r}, but {served!r} is served: it is never ready"
            yield Fault(place=(*probe, "httpGet", "path"), message=message)


def _served(subject: Subject, place: Place) -> str:
    """MLSERVER_MODEL_NAME names the model; for the runtime KServe sets it to the object's name."""
    for variable in subject.items(*place, "env"):
        if get_at(variable, "name") == "MLSERVER_MODEL_NAME":
            return str(get_at(variable, "value"))
    return subject.text("metadata", "name")


def _port(subject: Subject) -> Iterator[Fault]:
    for probe in subject.probes:
        for handler in _WITH_PORT:
            here = (*probe, handler)
            asked = handler in subject.mapping(*probe) and subject.at(*here, "port") is None
            if asked and (subject.standard or "canary" in here):
                yield Fault(place=(*here, "port"), message="is missing; only Knative fills it in")


def _handler(subject: Subject) -> Iterator[Fault]:
    for probe in subject.probes:
        found = [handler for handler in _HANDLERS if handler in subject.mapping(*probe)]
        if len(found) > 1:
            yield Fault(place=probe, message=f"has {' and '.join(found)}; exactly one is allowed")


def _ports(subject: Subject) -> Iterator[Fault]:
    places = [(*place, "containerPort") for here in subject.containers for place in subject.places(*here, "ports")]
    for probe in subject.probes:
        places += [(*probe, handler, "port") for handler in subject.mapping(*probe) if handler in (*_WITH_PORT, "grpc")]
    for place in places:
        number = subject.number(*place)
        if number is not None and not 1 <= number <= _LAST:
            yield Fault(place=place, message=f"is {number}; it must be 1 to {_LAST}")


RULES = (
    Rule(
        id="probe-model",
        covers=("L18",),
        summary="The model that a probe's path names is the one that is served.",
        why="KServe serves the model under the InferenceService's name. A probe for another is never answered, and the "
        "service is never ready.",
        fix="let m2g write the probes; remove the patch under custom/ that changes name or probe",
        link=issue(2056, "SeldonIO/MLServer"),
        check=_model,
    ),
    Rule(
        id="probe-port",
        summary="In Standard mode, and in a canary, a probe says its port.",
        why="The CRD does not ask for it, since Knative fills it in. The Deployment of the Standard mode is refused "
        "without.",
        fix="set port: 8080, or what the container listens on",
        link="https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/",
        check=_port,
    ),
    Rule(
        id="port-range",
        kinds=KINDS,
        summary="Ports are 1 to 65535.",
        why="No schema of Kubernetes says so: KServe's object is accepted, and then its Deployment is refused.",
        fix="write the port that the container listens on",
        link="https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#ports",
        check=_ports,
    ),
    Rule(
        id="probe-handler",
        summary="A probe asks in one way: httpGet, tcpSocket, grpc or exec.",
        why="Kubernetes refuses a probe with more than one; a patch that adds one to another does it easily.",
        fix="remove all but one",
        link="https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#types-of-probe",
        check=_handler,
    ),
)
