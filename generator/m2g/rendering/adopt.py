"""Turn an object that people wrote into settings and a patch, so that m2g renders it with no field lost.

What a setting can say becomes a setting. What m2g would write otherwise is put back by a JSON 6902 patch. What m2g adds
(labels, probes, the server's version) stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeAlias

import msgspec

from m2g.core import quantity
from m2g.core.errors import InputError
from m2g.core.manifest import Manifest, get_at
from m2g.core.settings import Settings, list_fields
from m2g.core.yaml_writer import Plain
from m2g.serving.backend import Backend, Place

Operation: TypeAlias = dict[str, Plain]
_FRAMEWORKS = ("sklearn", "xgboost", "lightgbm", "pytorch", "tensorflow", "onnx", "pmml", "triton", "paddle")
"""The keys of a predictor that KServe turns into `model`."""
_OF_CLUSTER = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink", "namespace")
_OF_TOOLS = ("kubectl.kubernetes.io/", "argocd.argoproj.io/", "kustomize.toolkit.fluxcd.io/")
_OURS = ("m2g.dev/", "app.kubernetes.io/name", "app.kubernetes.io/managed-by", "serving.kserve.io/deploymentMode")
_OURS_TOO = ("serving.kserve.io/autoscalerClass", "networking.kserve.io/visibility")
_NEVER = frozenset({"backend", "profile", "image", "imageServer", "runtime", "startupSeconds", "batch", "class"})
"""Settings that do not copy one field of the object."""
_RENAMED = {"RawDeployment": "Standard", "Serverless": "Knative"}
_MODE = ("metadata", "annotations", "serving.kserve.io/deploymentMode")
_MODEL = ("spec", "predictor", "model")


class Loss(NamedTuple):
    """A field of the original that the rendered object does not have, and the operation that puts it back."""

    where: Place
    operation: Operation


def normalize(item: Manifest) -> Manifest:
    """The object as people meant it: without what a cluster or a tool added, in the form that KServe stores."""
    metadata = item.get("metadata")
    kept = (
        {key: value for key, value in metadata.items() if key not in _OF_CLUSTER} if isinstance(metadata, dict) else {}
    )
    annotations = kept.get("annotations")
    if isinstance(annotations, dict):
        kept["annotations"] = {k: v for k, v in annotations.items() if not str(k).startswith(_OF_TOOLS)}
    clean = {key: value for key, value in item.items() if key != "status"} | {"metadata": kept}
    predictor = get_at(item, "spec", "predictor")
    spec = item.get("spec")
    if not isinstance(predictor, dict) or not isinstance(spec, dict) or "model" in predictor:
        return clean
    for name in _FRAMEWORKS:
        if isinstance(body := predictor.get(name), dict):
            others = {key: value for key, value in predictor.items() if key != name}
            return clean | {"spec": {**spec, "predictor": {**others, "model": {"modelFormat": {"name": name}, **body}}}}
    return clean


def derive_settings(item: Manifest, backend: Backend) -> dict[str, Plain]:
    """The settings with which m2g writes the fields of the object, as far as settings have them."""
    found: dict[str, Plain] = {}
    for name, value in _list_candidates(item, backend):
        try:
            msgspec.convert({name: value}, Settings)
        except (msgspec.ValidationError, TypeError):
            continue  # the patch keeps it
        found[name] = value
    if get_at(item, "metadata", "labels", "networking.kserve.io/visibility") == "cluster-local":
        found["visibility"] = "cluster-local"
    return found


def _list_candidates(item: Manifest, backend: Backend) -> Iterator[tuple[str, Plain]]:
    known = list_fields()
    for place, name in backend.settings.items():
        value = get_at(item, *place)
        if name not in known or name in _NEVER or value in (None, {}, []):
            continue
        if place[-1] in ("labels", "annotations") and isinstance(value, dict):
            value = {k: v for k, v in value.items() if not str(k).startswith((*_OURS, *_OURS_TOO))}
        if name == "env" and isinstance(value, list):
            value = {one.get("name"): one["value"] for one in value if isinstance(one, dict) and "value" in one}
        if name == "deploymentStrategy":
            value = get_at(value, "type")
        if value:
            yield name, value  # type: ignore[misc]  # it was read from YAML


def find_losses(original: Manifest, rendered: Manifest, backend: Backend) -> list[Loss]:
    """The fields of the original that the rendered object has not, or has otherwise."""
    own = [*backend.recorded, ("apiVersion",), ("kind",)]
    losses = [loss for loss in _compare(original, rendered, ()) if loss.where not in own]
    mode = get_at(original, *_MODE)
    losses = [loss for loss in losses if loss.where != _MODE or _RENAMED.get(str(mode)) != get_at(rendered, *_MODE)]
    form = get_at(original, *_MODEL, "modelFormat", "name")
    if form not in (None, "mlflow"):
        losses += _list_foreign(original, rendered)
    return losses


def _list_foreign(original: Manifest, rendered: Manifest) -> Iterator[Loss]:
    """A server that is not for MLflow models gets nothing of what m2g adds for one."""
    theirs, ours = get_at(original, *_MODEL), get_at(rendered, *_MODEL)
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in [key for key in ours if key not in theirs]:
            yield Loss((*_MODEL, key), {"op": "remove", "path": _pointer((*_MODEL, key))})


def _compare(old: object, new: object, where: Place) -> Iterator[Loss]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key, value in old.items():
            here = (*where, str(key))
            if key in new:
                yield from _compare(value, new[key], here)
            elif value is not None:
                yield Loss(here, {"op": "add", "path": _pointer(here), "value": value})
    elif isinstance(old, list) and isinstance(new, list) and _is_named(old) and _is_named(new):
        yield from _compare_named(old, new, where)
    elif not _is_equal(old, new):
        yield Loss(where, {"op": "replace", "path": _pointer(where), "value": old})  # type: ignore[dict-item]


def _compare_named(old: list[object], new: list[object], where: Place) -> Iterator[Loss]:
    places = {get_at(item, "name"): index for index, item in enumerate(new)}
    for item in old:
        index = places.get(get_at(item, "name"), 0 if len(old) == len(new) == 1 else None)
        if index is None:
            yield Loss((*where, "-"), {"op": "add", "path": f"{_pointer(where)}/-", "value": item})  # type: ignore[dict-item]
        else:
            yield from _compare(item, new[index], (*where, index))


def _is_named(items: list[object]) -> bool:
    return all(isinstance(item, Mapping) and "name" in item for item in items)


def _is_equal(old: object, new: object) -> bool:
    """Whether Kubernetes takes two values for the same: `"1"`, `1` and `1000m` are the same quantity."""
    if old == new or str(old) == str(new):
        return True
    try:
        return quantity.parse(str(old)) == quantity.parse(str(new))
    except InputError:
        return False


def _pointer(where: Place) -> str:
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in where)
