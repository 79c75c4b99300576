"""Profile mlflow-image: an image with the model and MLflow's scoring server, as a container of the predictor."""

from __future__ import annotations

import math

from m2g.core import quantity
from m2g.rendering.kserve.common import (
    PORT,
    render_container,
    render_env,
    render_probes,
    render_resources,
    restrict_privileges,
)
from m2g.rendering.objects import Object, ServedModel
from m2g.serving.spec import Serving


def render_predictor(_slug: str, served: ServedModel, serving: Serving) -> Object:
    """`containers`, with all fields that the webhook would add."""
    # Without this variable, MLflow's server starts one worker for each core of the node and ignores the limit.
    workers = math.floor(quantity.parse(serving.limits.get("cpu", "1")))
    env = {"MLFLOW_MODELS_WORKERS": str(max(1, workers))}
    container: Object = {"name": "kserve-container"}
    if served.image:
        container["image"] = served.image
    built = served.release.image if served.release is not None else None
    container |= {
        "ports": [{"containerPort": PORT, "protocol": "TCP"}],
        **render_env(env | serving.env, serving.env_references),
        **render_resources(serving),
        # Images of `m2g image` do not need root; those of `mlflow models build-docker` do.
        **(restrict_privileges() if built is not None and built.name == served.image else {}),
        **render_probes("/ping", serving, in_list=True),
    }
    return {"containers": [render_container(container, serving)]}
