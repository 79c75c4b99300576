"""Labels and annotations that say which model, version and environment an object is of, whatever serves it."""

from __future__ import annotations

from m2g.rendering.objects import Object, ServedModel


def make_labels(slug: str, served: ServedModel) -> Object:
    """The labels of the object that serves a model."""
    labels: Object = {"app.kubernetes.io/name": slug, "app.kubernetes.io/managed-by": "m2g"}
    return labels | ({"m2g.dev/environment": served.environment} if served.environment else {})


def make_annotations(served: ServedModel) -> Object:
    """The annotations of the object that serves a model."""
    annotations: Object = {"m2g.dev/model-name": served.model}
    if served.release is not None:
        annotations["m2g.dev/model-version"] = served.release.version
        if served.release.run is not None:
            annotations["m2g.dev/run-id"] = served.release.run.id
        annotations["m2g.dev/profile"] = served.profile
    if served.flux:
        # The model's name may contain ${X}. Flux would expand that, and kustomize-controller 1.9 and newer would fail.
        annotations["kustomize.toolkit.fluxcd.io/substitute"] = "disabled"
    return annotations
