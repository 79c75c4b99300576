"""Profile mlflow-image: an image with the model in it and MLflow's scoring server, as a container of the predictor."""

from __future__ import annotations

import math

from m2g.core import quantity
from m2g.rendering.kserve.common import PORT, environment, privileges, probes, resources
from m2g.rendering.objects import Object, Subject
from m2g.serving.spec import Serving


def predictor(_slug: str, subject: Subject, serving: Serving) -> Object:
    """`containers`, with all that the webhook would add to a list."""
    # Without it MLflow's server starts one worker per core of the node, whatever the limit.
    workers = math.floor(quantity.parse(serving.limits.get("cpu", "1")))
    env = {"MLFLOW_MODELS_WORKERS": str(max(1, workers))}
    container: Object = {"name": "kserve-container"}
    if subject.image:
        container["image"] = subject.image
    built = subject.release.image if subject.release is not None else None
    return {
        "containers": [
            {
                **container,
                "ports": [{"containerPort": PORT, "protocol": "TCP"}],
                **environment(env | serving.env),
                **resources(serving),
                # `m2g image` makes images that need no root; those of `mlflow models build-docker` do.
                **(privileges() if built is not None and built.name == subject.image else {}),
                **probes("/ping", serving),
            }
        ]
    }
