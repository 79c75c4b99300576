"""The Model of Seldon Core 2 (mlops.seldon.io/v1alpha1), which one of the cluster's Servers loads.

The operator writes only finalizers and the status back (operator v2.10.2).
"""

from __future__ import annotations

from m2g.rendering.kserve.batch import render_batch
from m2g.rendering.metadata import make_annotations, make_labels
from m2g.rendering.objects import Object, ServedModel
from m2g.serving.spec import Serving

_FILE = "model.yaml"


def render_base(slug: str, model: str, serving: Serving) -> dict[str, Object]:
    """The part of the Model that all environments share and that does not depend on a release."""
    return {_FILE: _render_model(slug, ServedModel(model=model, profile="mlserver"), serving)}


def render_overlay(slug: str, served: ServedModel, serving: Serving) -> dict[str, Object]:
    """All objects of one release."""
    return {_FILE: _render_model(slug, served, serving), **render_batch(slug, served, serving)}


def _render_model(slug: str, served: ServedModel, serving: Serving) -> Object:
    spec: Object = {"storageUri": served.storage_uri} if served.storage_uri else {}
    spec["requirements"] = ["mlflow"]
    if serving.storage_secret_name:
        spec["secretName"] = serving.storage_secret_name
    if serving.runtime:
        spec["server"] = serving.runtime
    if "memory" in serving.requests:
        spec["memory"] = serving.requests["memory"]
    return {
        "apiVersion": "mlops.seldon.io/v1alpha1",
        "kind": "Model",
        "metadata": {
            "name": slug,
            "labels": make_labels(slug, served) | dict(sorted(serving.labels.items())),
            "annotations": make_annotations(served) | dict(sorted(serving.annotations.items())),
        },
        "spec": spec | _render_replicas(serving),
    }


def _render_replicas(serving: Serving) -> Object:
    """A number, or a range. In a range the autoscaler sets `replicas`, so Git must not have it."""
    if serving.max_replicas == serving.min_replicas:
        return {"replicas": serving.min_replicas}
    low: Object = {"minReplicas": serving.min_replicas}
    return low | ({"maxReplicas": serving.max_replicas} if serving.max_replicas else {})
