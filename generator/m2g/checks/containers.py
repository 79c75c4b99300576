"""Where containers are in the kinds that have them, with KServe's own forms of a container."""

from __future__ import annotations

from collections.abc import Iterator

from m2g.checks.rule import INFERENCE_SERVICE, RUNTIMES, Place, Subject

LEGACY = (
    *("sklearn", "xgboost", "lightgbm", "tensorflow", "pytorch", "onnx"),
    *("triton", "huggingface", "pmml", "paddle"),
)
"""Framework keys of a predictor; the webhook turns each into `model`."""
_TEMPLATES = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "Pod", "CronJob")
_LLM = "LLMInferenceService"
KINDS = (INFERENCE_SERVICE, *RUNTIMES, "ClusterStorageContainer", _LLM, *_TEMPLATES)
"""Kinds with containers."""


def pods(subject: Subject) -> Iterator[Place]:
    """The place of everything that is, or holds the fields of, a pod's spec."""
    kind = subject.at("kind")
    if kind == INFERENCE_SERVICE:
        components: list[Place] = [("spec", name) for name in subject.components()]
        canaries = [(*place, "predictor") for place in subject.places("spec", "canary")]
        for place in (*components, *canaries):
            yield place
            if subject.mapping(*place, "workerSpec"):
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


def containers(subject: Subject) -> Iterator[Place]:
    """The place of every container: `model`, framework keys, `art`, containers and init containers."""
    if subject.at("kind") == "ClusterStorageContainer":
        yield ("spec", "container")
    for pod in pods(subject):
        for key in ("model", *LEGACY, "art") if subject.at("kind") == INFERENCE_SERVICE else ():
            if subject.mapping(*pod, key):
                yield (*pod, key)
        for key in ("containers", "initContainers"):
            yield from subject.places(*pod, key)
