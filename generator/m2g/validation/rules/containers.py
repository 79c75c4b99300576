"""Where the containers are in each kind that has them, including KServe's own forms of a container."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from m2g.core.manifest import Manifest, get_at
from m2g.serving.stored import LEGACY_FORMATS

Place: TypeAlias = tuple[str | int, ...]

INFERENCE_SERVICE = "InferenceService"
RUNTIMES = ("ServingRuntime", "ClusterServingRuntime")
COMPONENTS = ("predictor", "transformer", "explainer")

_OWN = ("model", *LEGACY_FORMATS, "art")
"""Keys of an InferenceService's component that hold a container."""
_PROBES = ("readinessProbe", "startupProbe", "livenessProbe")
_TEMPLATES = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "Pod", "CronJob")
_LLM = "LLMInferenceService"
KINDS = (INFERENCE_SERVICE, *RUNTIMES, "ClusterStorageContainer", _LLM, *_TEMPLATES)
"""Kinds with containers."""


def pods(item: Manifest) -> Iterator[Place]:
    """The place of every mapping that has the fields of a pod spec."""
    kind = item.get("kind")
    if kind == INFERENCE_SERVICE:
        components: list[Place] = [("spec", name) for name in COMPONENTS if get_at(item, "spec", name)]
        canaries = [(*place, "predictor") for place in _places(item, "spec", "canary")]
        for place in (*components, *canaries):
            yield place
            if isinstance(get_at(item, *place, "workerSpec"), dict):
                yield (*place, "workerSpec")
    elif kind in RUNTIMES:
        yield ("spec",)
        yield ("spec", "workerSpec")
    elif kind == _LLM:
        yield from (("spec", *inner) for inner in (("template",), ("worker",), ("prefill", "template")))
    elif kind == "Pod":
        yield ("spec",)
    elif kind == "CronJob":
        yield ("spec", "jobTemplate", "spec", "template", "spec")
    elif kind in _TEMPLATES:
        yield ("spec", "template", "spec")


def containers(item: Manifest) -> Iterator[Place]:
    """The place of every container: `model`, framework keys, `art`, containers and init containers."""
    if item.get("kind") == "ClusterStorageContainer":
        yield ("spec", "container")
    own = _OWN if item.get("kind") == INFERENCE_SERVICE else ()
    for pod in pods(item):
        here = get_at(item, *pod)
        if isinstance(here, dict):
            yield from ((*pod, key) for key in own if isinstance(here.get(key), dict))
            for key in ("containers", "initContainers"):
                yield from _places(item, *pod, key)


def variables(item: Manifest, containers: Iterable[Place]) -> Iterator[Place]:
    """The place of every environment variable of these containers."""
    for container in containers:
        yield from _places(item, *container, "env")


def probes(item: Manifest, containers: Iterable[Place]) -> Iterator[Place]:
    """The place of every probe of these containers that is not empty."""
    for container in containers:
        here = get_at(item, *container)
        if isinstance(here, dict):
            yield from ((*container, name) for name in _PROBES if isinstance(here.get(name), dict) and here[name])


def texts(node: object, place: Place = ()) -> Iterator[tuple[Place, str]]:
    """Every string inside a value, with its place."""
    if isinstance(node, str):
        yield place, node
    elif isinstance(node, dict):
        for key, value in node.items():
            yield from texts(value, (*place, str(key)))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from texts(value, (*place, index))


def all_text(node: object) -> str:
    """Every string inside a value, joined by line breaks: what is not in here is in none of them."""
    strings: list[str] = []
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if isinstance(node, str):
            strings.append(node)
        elif isinstance(node, dict):
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
    return "\n".join(strings)


def _places(item: Manifest, *place: str | int) -> list[Place]:
    value = get_at(item, *place)
    return [(*place, index) for index in range(len(value))] if isinstance(value, list) else []
