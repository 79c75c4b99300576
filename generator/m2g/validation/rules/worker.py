"""Models that span several nodes (workerSpec)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from m2g.core.schema_errors import Violation
from m2g.validation.rules.containers import Place
from m2g.validation.rules.rule import AUTOSCALER_CLASS, WEBHOOK_SOURCE, CheckedObject, Rule

_HERE: Place = ("spec", "predictor", "workerSpec")
_MODEL: Place = ("spec", "predictor", "model")
SIZES = {"pipelineParallelSize": "PIPELINE_PARALLEL_SIZE", "tensorParallelSize": "TENSOR_PARALLEL_SIZE"}
_GPUS = ("nvidia.com/gpu", "amd.com/gpu", "intel.com/gpu", "habana.ai/gaudi")
_PLAIN = ("cpu", "memory", "storage", "ephemeral-storage", "pods")
_MORE_GPUS = "serving.kserve.io/gpu-resource-types"


def _check_worker(obj: CheckedObject) -> Iterator[Violation]:
    if "workerSpec" not in obj.mapping("spec", "predictor"):
        return
    if len(obj.items(*_HERE, "containers")) > 1:
        yield Violation(where=(*_HERE, "containers"), message="has more than one container", hint="keep one")
    for field in SIZES:
        size = obj.number(*_HERE, field)
        if size is not None and size < 1:
            yield Violation(
                where=(*_HERE, field), message=f"is {size}; it must be at least 1", hint="set it to 1 or more"
            )
    if not obj.standard:
        yield Violation(
            where=_HERE,
            message="needs Standard mode",
            hint="set kserve.mode: Standard for this environment in m2g.yaml",
        )
    if "model" in obj.mapping("spec", "predictor"):
        yield from _model(obj)
    yield from _gpus(obj)


def _model(obj: CheckedObject) -> Iterator[Violation]:
    uri = obj.text(*_MODEL, "storageUri")
    if uri.partition("://")[0] not in ("pvc", "oci"):
        current = f"is {uri[:120]!r}" if uri else "is missing"
        message = f"{current}; a model on several nodes needs pvc:// or oci://"
        hint = "copy the model to a claim (pvc://claim/path) or to an image (oci://…)"
        yield Violation(where=(*_MODEL, "storageUri"), message=message, hint=hint)
    for place in obj.places(*_MODEL, "env"):
        for field, name in SIZES.items():
            if obj.at(*place, "name") == name:
                yield Violation(
                    where=(*place, "name"), message=f"is {name}, which KServe sets", hint=f"set workerSpec.{field}"
                )
    if obj.at("metadata", "annotations", AUTOSCALER_CLASS) != "none":
        message = "must be none; KServe does not scale a model on several nodes"
        hint = "set settings.autoscaler in model.yaml to none"
        yield Violation(where=("metadata", "annotations", AUTOSCALER_CLASS), message=message, hint=hint)


def _gpus(obj: CheckedObject) -> Iterator[Violation]:
    yield from find_unknown_gpus(obj, (_MODEL, *obj.places(*_HERE, "containers")), ("metadata", "annotations"))


def find_unknown_gpus(obj: CheckedObject, containers: Iterable[Place], annotations: Place) -> Iterator[Violation]:
    """Resources of these containers that KServe does not know as a GPU; the annotations may name more."""
    known = (*_PLAIN, *_GPUS, *_more(obj, annotations))
    for container in containers:
        for side in ("requests", "limits"):
            for name in obj.mapping(*container, "resources", side):
                if name not in known:
                    message = "is not a GPU resource that KServe knows"
                    hint = f"add it to the annotation {_MORE_GPUS}, a JSON list"
                    yield Violation(where=(*container, "resources", side, name), message=message, hint=hint)


def _more(obj: CheckedObject, annotations: Place) -> list[str]:
    try:
        names = json.loads(obj.text(*annotations, _MORE_GPUS) or "[]")
    except ValueError:
        return []
    return [str(name) for name in names] if isinstance(names, list) else []


RULES = (
    Rule(
        id="worker-spec",
        covers=("V18",),
        summary="A model on several nodes reads a claim or an image, and is not scaled.",
        why="KServe's webhook refuses anything else: every node must see the same files, and KServe sets the variables "
        "for the sizes.",
        fix="use Standard mode, a storageUri with pvc:// or oci://, and the autoscaler class none",
        link=WEBHOOK_SOURCE,
        check=_check_worker,
    ),
)
