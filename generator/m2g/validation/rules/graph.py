"""InferenceGraph and ServingRuntime: what KServe's webhooks for these two refuse."""

from __future__ import annotations

from collections.abc import Iterator

from m2g.validation.rules.containers import RUNTIMES, Place
from m2g.validation.rules.rule import Fault, Rule, Subject

_GRAPH = ("InferenceGraph",)
_NODES: Place = ("spec", "nodes")
_TARGETS = ("serviceName", "serviceUrl", "nodeName")


def _steps(subject: Subject) -> Iterator[Place]:
    for name in subject.mapping(*_NODES):
        yield from subject.places(*_NODES, name, "steps")


def _root(subject: Subject) -> Iterator[Fault]:
    nodes = subject.mapping(*_NODES)
    if nodes and "root" not in nodes:
        yield Fault(place=_NODES, message="has no node called root, where requests enter")
    for step in _steps(subject):
        node = subject.text(*step, "nodeName")
        if node and node not in nodes:
            yield Fault(place=(*step, "nodeName"), message=f"is {node!r}; this graph has no such node")


def _targets(subject: Subject) -> Iterator[Fault]:
    for step in _steps(subject):
        given = [key for key in _TARGETS if subject.at(*step, key)]
        if len(given) != 1:
            said = f"has {' and '.join(given)}" if given else "has no target"
            yield Fault(place=step, message=f"{said}; exactly one of {', '.join(_TARGETS)} is needed")
    for node in subject.mapping(*_NODES):
        names = [(step, subject.text(*step, "name")) for step in subject.places(*_NODES, node, "steps")]
        for index, (step, name) in enumerate(names):
            if name and name in [earlier for _, earlier in names[:index]]:
                yield Fault(place=(*step, "name"), message=f"is {name!r}, as another step of this node")


def _weights(subject: Subject) -> Iterator[Fault]:
    for name in subject.mapping(*_NODES):
        node: Place = (*_NODES, name)
        steps = subject.places(*node, "steps")
        if subject.at(*node, "routerType") != "Splitter":
            continue
        without = [step for step in steps if subject.at(*step, "weight") is None]
        yield from (Fault(place=(*step, "weight"), message="is missing; a Splitter needs it") for step in without)
        weights = [weight for step in steps if (weight := subject.number(*step, "weight")) is not None]
        if len(weights) == len(steps) and sum(weights) != 100:
            yield Fault(place=(*node, "steps"), message=f"have weights of {sum(weights)} together; they must be 100")


def _priority(subject: Subject) -> Iterator[Fault]:
    first: dict[str, object] = {}
    for place in subject.places("spec", "supportedModelFormats"):
        name, priority = subject.text(*place, "name"), subject.at(*place, "priority")
        chosen = subject.at(*place, "autoSelect") is True and priority is not None
        if chosen and first.setdefault(name, priority) != priority:
            message = f"is {priority}, but {name} has {first[name]} above; one runtime has one for a format"
            yield Fault(place=(*place, "priority"), message=message)


_LINK = "https://kserve.github.io/website/docs/model-serving/inferencegraph/overview"

RULES = (
    Rule(
        id="graph-root",
        kinds=_GRAPH,
        summary="An InferenceGraph has a node called root, and the nodes that its steps name.",
        why="KServe's webhook refuses a graph without root; a step to a node that is not there always fails.",
        fix="call the first node root",
        link=_LINK,
        check=_root,
    ),
    Rule(
        id="graph-targets",
        kinds=_GRAPH,
        summary="A step goes to one service or node, and no two steps of a node have one name.",
        why="KServe's webhook refuses none and more than one.",
        fix="keep one of serviceName, serviceUrl and nodeName",
        link=_LINK,
        check=_targets,
    ),
    Rule(
        id="graph-weights",
        kinds=_GRAPH,
        summary="The weights of a Splitter's steps are 100 together.",
        why="KServe's webhook refuses another sum, and a step without weight.",
        fix="correct the weights",
        link=_LINK,
        check=_weights,
    ),
    Rule(
        id="runtime-priority",
        kinds=RUNTIMES,
        summary="A runtime has one priority for all versions of a format that it is selected for.",
        why="KServe's webhook refuses two.",
        fix="give the entries of a format the same priority",
        link="https://kserve.github.io/website/docs/concepts/resources/servingruntime",
        check=_priority,
    ),
)
