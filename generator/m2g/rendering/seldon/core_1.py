"""The SeldonDeployment of Seldon Core 1 (machinelearning.seldon.io/v1).

Its operator defaults in memory and writes nothing back, so the object stays as it is here (operator v1.18.2). MLServer
gets its image, its model's name and version from m2g; Seldon overwrites its probes but not a startup probe.
"""

from __future__ import annotations

import math

from m2g.rendering.kserve.batch import render_batch
from m2g.rendering.kserve.common import PROBE_SECONDS, make_probe, render_env, render_resources
from m2g.rendering.metadata import make_annotations, make_labels
from m2g.rendering.objects import Object, ServedModel
from m2g.serving.seldon import PREDICTOR, STOCK_IMAGE
from m2g.serving.spec import Serving

_FILE = "seldondeployment.yaml"


def render_base(slug: str, model: str, serving: Serving) -> dict[str, Object]:
    """The part of the SeldonDeployment that all environments share and that does not depend on a release."""
    served = ServedModel(model=model, profile="mlserver", image=serving.image)
    return {_FILE: _render_deployment(slug, served, serving)}


def render_overlay(slug: str, served: ServedModel, serving: Serving) -> dict[str, Object]:
    """All objects of one release."""
    return {_FILE: _render_deployment(slug, served, serving), **render_batch(slug, served, serving)}


def _render_deployment(slug: str, served: ServedModel, serving: Serving) -> Object:
    spec: Object = {"protocol": "v2"}
    if serving.timeout_seconds is not None:
        spec["annotations"] = {"seldon.io/rest-timeout": str(serving.timeout_seconds * 1000)}
    spec["predictors"] = [_render_predictor(slug, served, serving)]
    return {
        "apiVersion": "machinelearning.seldon.io/v1",
        "kind": "SeldonDeployment",
        "metadata": {
            "name": slug,
            "labels": make_labels(slug, served) | dict(sorted(serving.labels.items())),
            "annotations": make_annotations(served) | dict(sorted(serving.annotations.items())),
        },
        "spec": spec,
    }


def _render_predictor(slug: str, served: ServedModel, serving: Serving) -> Object:
    scales = serving.autoscaler == "hpa" and serving.max_replicas != serving.min_replicas
    graph: Object = {"name": slug, "implementation": "MLFLOW_SERVER"}
    if served.storage_uri:
        graph["modelUri"] = served.storage_uri
    if serving.storage_secret_name:
        graph["envSecretRefName"] = serving.storage_secret_name
    component: Object = {"spec": _render_pod(slug, served, serving)}
    if scales:
        component["hpaSpec"] = _render_hpa(serving)
    predictor: Object = {"name": PREDICTOR}
    return (
        predictor
        | ({} if scales else {"replicas": serving.min_replicas})
        | {
            "graph": graph,
            "componentSpecs": [component],
        }
    )


def _render_pod(slug: str, served: ServedModel, serving: Serving) -> Object:
    pod: Object = {}
    if serving.service_account_name:
        pod["serviceAccountName"] = serving.service_account_name
    if serving.node_selector:
        pod["nodeSelector"] = dict(sorted(serving.node_selector.items()))
    # `m2g smoke --url` compares the version that MLServer says with the one in Git.
    version = {} if served.release is None else {"MLSERVER_MODEL_VERSION": served.release.version}
    tries = math.ceil(serving.startup_seconds / PROBE_SECONDS)
    get: Object = {"path": f"/v2/models/{slug}/ready", "port": "http", "scheme": "HTTP"}
    container: Object = {
        "name": slug,  # the name of the graph's node: so Seldon takes it for the model's container
        "image": served.image or STOCK_IMAGE,
        **render_env(version | serving.env),
        **render_resources(serving),
        # Seldon's own probe asks for the server, which is ready before it has loaded the model (MLServer#2056).
        "startupProbe": make_probe(get, tries),
    }
    return pod | {"containers": [container]}


def _render_hpa(serving: Serving) -> Object:
    target: Object = {"type": "Utilization", "averageUtilization": serving.scale_target}
    metric: Object = {"type": "Resource", "resource": {"name": serving.scale_metric, "target": target}}
    return {"minReplicas": serving.min_replicas, "maxReplicas": serving.max_replicas, "metricsv2": [metric]}
