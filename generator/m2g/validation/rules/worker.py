"""Models that span several nodes (workerSpec)."""

from __future__ import annotations

import json
from collections.abc import Iterator

from m2g.validation.rules.containers import Place
from m2g.validation.rules.rule import CLASS, VALIDATION, Fault, Rule, Subject

_HERE: Place = ("spec", "predictor", "workerSpec")
_MODEL: Place = ("spec", "predictor", "model")
_SIZES = {"pipelineParallelSize": "PIPELINE_PARALLEL_SIZE", "tensorParallelSize": "TENSOR_PARALLEL_SIZE"}
_GPUS = ("nvidia.com/gpu", "amd.com/gpu", "intel.com/gpu", "habana.ai/gaudi")
_PLAIN = ("cpu", "memory", "storage", "ephemeral-storage", "pods")
_MORE_GPUS = "serving.kserve.io/gpu-resource-types"


def _worker(subject: Subject) -> Iterator[Fault]:
    if "workerSpec" not in subject.mapping("spec", "predictor"):
        return
    if len(subject.items(*_HERE, "containers")) > 1:
        yield Fault(place=(*_HERE, "containers"), message="has more than one container", hint="keep one")
    for field in _SIZES:
        size = subject.number(*_HERE, field)
        if size is not None and size < 1:
            yield Fault(place=(*_HERE, field), message=f"is {size}; it must be at least 1")
    if not subject.standard:
        yield Fault(place=_HERE, message="works in Standard mode only", hint="use the Standard mode")
    if "model" in subject.mapping("spec", "predictor"):
        yield from _model(subject)
    yield from _gpus(subject)


def _model(subject: Subject) -> Iterator[Fault]:
    uri = subject.text(*_MODEL, "storageUri")
    if uri.partition("://")[0] not in ("pvc", "oci"):
        said = f"is {uri[:120]!r}" if uri else "is missing"
        hint = "copy the model to a claim (pvc://claim/path) or an image (oci://…)"
        yield Fault(
            place=(*_MODEL, "storageUri"), message=f"{said}; on several nodes it must be pvc:// or oci://", hint=hint
        )
    for place in subject.places(*_MODEL, "env"):
        for field, name in _SIZES.items():
            if subject.at(*place, "name") == name:
                yield Fault(
                    place=(*place, "name"), message=f"is {name}, which KServe sets", hint=f"set workerSpec.{field}"
                )
    if subject.at("metadata", "annotations", CLASS) != "none":
        message = "must be none: what spans nodes is not scaled"
        hint = "set the setting autoscaler: none"
        yield Fault(place=("metadata", "annotations", CLASS), message=message, hint=hint)


def _gpus(subject: Subject) -> Iterator[Fault]:
    known = (*_PLAIN, *_GPUS, *_more(subject))
    for container in (_MODEL, *subject.places(*_HERE, "containers")):
        for side in ("requests", "limits"):
            for name in subject.mapping(*container, "resources", side):
                if name not in known:
                    message = "is no kind of GPU that KServe knows"
                    hint = f"name it in the annotation {_MORE_GPUS}, a JSON list"
                    yield Fault(place=(*container, "resources", side, name), message=message, hint=hint)


def _more(subject: Subject) -> list[str]:
    try:
        found = json.loads(subject.text("metadata", "annotations", _MORE_GPUS) or "[]")
    except ValueError:
        return []
    return [str(name) for name in found] if isinstance(found, list) else []


RULES = (
    Rule(
        id="worker-spec",
        covers=("V18",),
        summary="A model on several nodes reads a claim or an image, is not scaled, and has sizes of at least 1.",
        why="KServe's webhook refuses the rest: every node must see the same files, and KServe sets the variables of "
        "the sizes.",
        fix="see the message",
        link=VALIDATION,
        check=_worker,
    ),
)
