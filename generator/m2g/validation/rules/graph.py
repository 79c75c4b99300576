"""InferenceGraph: what KServe's webhook refuses."""

from __future__ import annotations

from collections.abc import Iterator

from m2g.core.schema_errors import Violation
from m2g.validation.rules.containers import Place
from m2g.validation.rules.rule import CheckedObject, Rule

_GRAPH = ("InferenceGraph",)
_NODES: Place = ("spec", "nodes")
_TARGETS = ("serviceName", "serviceUrl", "nodeName")


def _steps(obj: CheckedObject) -> Iterator[Place]:
    for name in obj.mapping(*_NODES):
        yield from obj.places(*_NODES, name, "steps")


def _check_root(obj: CheckedObject) -> Iterator[Violation]:
    nodes = obj.mapping(*_NODES)
    if obj.at(*_NODES) == {} or (nodes and "root" not in nodes):
        yield Violation(where=_NODES, message="has no node named root, where requests enter")
    for step in _steps(obj):
        node = obj.text(*step, "nodeName")
        if node and node not in nodes:
            message, hint = (
                f"is {node!r}, which is not a node of this graph",
                f"add the node {node!r}, or correct the name",
            )
            yield Violation(where=(*step, "nodeName"), message=message, hint=hint)


def _check_targets(obj: CheckedObject) -> Iterator[Violation]:
    for step in _steps(obj):
        given = [key for key in _TARGETS if obj.at(*step, key)]
        if len(given) != 1:
            targets = f"has {' and '.join(given)}" if given else "has no target"
            yield Violation(where=step, message=f"{targets}; exactly one of {', '.join(_TARGETS)} is required")
    for node in obj.mapping(*_NODES):
        names = [(step, obj.text(*step, "name")) for step in obj.places(*_NODES, node, "steps")]
        for index, (step, name) in enumerate(names):
            if name and name in [earlier for _, earlier in names[:index]]:
                message = f"is {name!r}, the name of another step of this node"
                yield Violation(where=(*step, "name"), message=message, hint="rename one of the two steps")


def _check_weights(obj: CheckedObject) -> Iterator[Violation]:
    for name in obj.mapping(*_NODES):
        node: Place = (*_NODES, name)
        steps = obj.places(*node, "steps")
        if obj.at(*node, "routerType") != "Splitter":
            continue
        without = [step for step in steps if obj.at(*step, "weight") is None]
        yield from (
            Violation(where=(*step, "weight"), message="is missing; a Splitter requires it") for step in without
        )
        weights = [weight for step in steps if (weight := obj.number(*step, "weight")) is not None]
        if len(weights) == len(steps) and sum(weights) != 100:
            yield Violation(where=(*node, "steps"), message=f"have a total weight of {sum(weights)}; it must be 100")


_LINK = "https://kserve.github.io/website/docs/model-serving/inferencegraph/overview"

RULES = (
    Rule(
        id="graph-root",
        kinds=_GRAPH,
        summary="An InferenceGraph has a node named root, and every node that its steps name.",
        why="KServe's webhook refuses a graph without root. A step to a missing node always fails.",
        fix="name the first node root",
        link=_LINK,
        check=_check_root,
    ),
    Rule(
        id="graph-targets",
        kinds=_GRAPH,
        summary="A step has one target, a service or a node; the names of a node's steps differ.",
        why="KServe's webhook refuses a step without a target or with more than one, and a duplicate name.",
        fix="keep one of serviceName, serviceUrl and nodeName",
        link=_LINK,
        check=_check_targets,
    ),
    Rule(
        id="graph-weights",
        kinds=_GRAPH,
        summary="The weights of a Splitter's steps add up to 100.",
        why="KServe's webhook refuses any other sum, and a step without a weight.",
        fix="set weights that add up to 100",
        link=_LINK,
        check=_check_weights,
    ),
)
