"""Profile mlflow-image: MLflow's scoring server in an image with the model, or in that of a serving environment."""

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
from m2g.serving.environment_runtime import PROTOCOLS
from m2g.serving.spec import Serving


def render_predictor(_slug: str, served: ServedModel, serving: Serving) -> Object:
    """`containers`, with all fields that the webhook would add; `model` for a model with a serving environment."""
    # Without this variable, MLflow's server starts one worker for each core of the node and ignores the limit.
    workers = math.floor(quantity.parse(serving.limits.get("cpu", "1")))
    env = {"MLFLOW_MODELS_WORKERS": str(max(1, workers))}
    if served.runtime:
        model: Object = {
            "modelFormat": {"name": served.model_format},
            "protocolVersion": PROTOCOLS["mlflow"],
            "runtime": served.runtime,
            "storageUri": served.storage_uri,
            **render_env(env | serving.env, serving.env_references),
            **render_resources(serving),
            **render_probes("/ping", serving),
        }
        return {"model": render_container(model, serving)}
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
