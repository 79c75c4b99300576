"""Where containers are in the kinds that have them, with KServe's own forms of a container."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from m2g.manifest import Manifest, at

Place: TypeAlias = tuple[str | int, ...]

INFERENCE_SERVICE = "InferenceService"
RUNTIMES = ("ServingRuntime", "ClusterServingRuntime")
COMPONENTS = ("predictor", "transformer", "explainer")

LEGACY = (
    *("sklearn", "xgboost", "lightgbm", "tensorflow", "pytorch", "onnx"),
    *("triton", "huggingface", "pmml", "paddle"),
)
"""Framework keys of a predictor; the webhook turns each into `model`."""
_TEMPLATES = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "Pod", "CronJob")
_LLM = "LLMInferenceService"
KINDS = (INFERENCE_SERVICE, *RUNTIMES, "ClusterStorageContainer", _LLM, *_TEMPLATES)
"""Kinds with containers."""


def pods(item: Manifest) -> Iterator[Place]:
    """The place of everything that is, or holds the fields of, a pod's spec."""
    kind = item.get("kind")
    if kind == INFERENCE_SERVICE:
        components: list[Place] = [("spec", name) for name in COMPONENTS if at(item, "spec", name)]
        canaries = [(*place, "predictor") for place in _places(item, "spec", "canary")]
        for place in (*components, *canaries):
            yield place
            if isinstance(at(item, *place, "workerSpec"), dict):
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
    for pod in pods(item):
        for key in ("model", *LEGACY, "art") if item.get("kind") == INFERENCE_SERVICE else ():
            if isinstance(at(item, *pod, key), dict):
                yield (*pod, key)
        for key in ("containers", "initContainers"):
            yield from _places(item, *pod, key)


def _places(item: Manifest, *place: str | int) -> list[Place]:
    found = at(item, *place)
    return [(*place, index) for index in range(len(found))] if isinstance(found, list) else []
