"""The InferenceService (serving.kserve.io/v1beta1), written as the admission webhook would leave it.

Source of the rules: KServe 0.15 to 0.21, inference_service_validation.go and inference_service_defaults.go.
Every field that the webhook or the CRD would default inside a list is there, so that Argo CD is in sync.
"""

from __future__ import annotations

import math

from m2g import quantity
from m2g.emit import Plain
from m2g.intent import Mode
from m2g.model import Release, Value
from m2g.serving import Serving

Object = dict[str, Plain]
PORT = 8080
_PROBE_SECONDS = 10


class Subject(Value, frozen=True, kw_only=True):
    """What is served. Without a release it is the base, which no cluster sees alone."""

    model: str
    environment: str = ""
    release: Release | None = None
    storage_uri: str = ""
    flux: bool = False


def mode_name(serving: Serving) -> str:
    """The word of the target version for the mode; the old words break updates since 0.16 (kserve#5885)."""
    if serving.kserve.version == "0.15":
        return {Mode.STANDARD: "RawDeployment", Mode.KNATIVE: "Serverless"}[serving.kserve.mode]
    return str(serving.kserve.mode)


def request_path(slug: str, serving: Serving) -> str:
    """The path that predictions are asked for at."""
    if serving.image and serving.image_server == "mlflow":
        return "/invocations"
    return f"/v2/models/{slug}/infer"


def inference_service(slug: str, subject: Subject, serving: Serving) -> Object:
    """The whole object, keys in reading order."""
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": slug,
            "labels": _labels(slug, subject, serving),
            "annotations": _annotations(subject, serving),
        },
        "spec": {"predictor": _predictor(slug, subject, serving)},
    }


def _labels(slug: str, subject: Subject, serving: Serving) -> Object:
    labels: Object = {"app.kubernetes.io/name": slug, "app.kubernetes.io/managed-by": "m2g"}
    if subject.environment:
        labels["m2g.dev/environment"] = subject.environment
    if serving.visibility == "cluster-local":
        labels["networking.kserve.io/visibility"] = "cluster-local"
    return labels | dict(sorted(serving.labels.items()))


def _annotations(subject: Subject, serving: Serving) -> Object:
    annotations: Object = {"serving.kserve.io/deploymentMode": mode_name(serving)}
    if not serving.knative:
        annotations["serving.kserve.io/autoscalerClass"] = serving.autoscaler
    annotations["m2g.dev/model-name"] = subject.model
    if subject.release is not None:
        annotations["m2g.dev/model-version"] = subject.release.version
        if subject.release.run is not None:
            annotations["m2g.dev/run-id"] = subject.release.run.id
    if subject.flux:
        # A model may be called ${X}; Flux expands that and, since kustomize-controller 1.9, fails on it.
        annotations["kustomize.toolkit.fluxcd.io/substitute"] = "disabled"
    return annotations | dict(sorted(serving.annotations.items()))


def _predictor(slug: str, subject: Subject, serving: Serving) -> Object:
    predictor: Object = {}
    if serving.service_account_name:
        predictor["serviceAccountName"] = serving.service_account_name
    predictor |= _scaling(serving)
    if serving.timeout_seconds is not None:
        predictor["timeout"] = serving.timeout_seconds
    if serving.node_selector:
        predictor["nodeSelector"] = dict(sorted(serving.node_selector.items()))
    if serving.image:
        return predictor | {"containers": [_container(slug, serving)]}
    return predictor | {"model": _model(slug, subject, serving)}


def _scaling(serving: Serving) -> Object:
    scaling: Object = {"minReplicas": serving.min_replicas}
    if serving.max_replicas:  # 0 is "no limit"; KServe's type drops it, and Argo CD would never be in sync
        scaling["maxReplicas"] = serving.max_replicas
    if serving.knative:
        scaling |= {"scaleMetric": serving.scale_metric, "scaleTarget": serving.scale_target}
        return scaling | {"containerConcurrency": serving.container_concurrency}
    if serving.autoscaler == "hpa":
        scaling |= {"scaleMetric": serving.scale_metric, "scaleTarget": serving.scale_target}
    if serving.autoscaler == "keda":
        target: Object = {"type": "Utilization", "averageUtilization": serving.scale_target}
        metric: Object = {"type": "Resource", "resource": {"name": serving.scale_metric, "target": target}}
        scaling["autoScaling"] = {"metrics": [metric]}
    return scaling | {
        "deploymentStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    }


def _model(slug: str, subject: Subject, serving: Serving) -> Object:
    model: Object = {
        "modelFormat": {"name": "mlflow"},
        "protocolVersion": "v2",
        "runtime": serving.runtime,
    }
    if subject.storage_uri:
        model["storageUri"] = subject.storage_uri
    if serving.env:
        model["env"] = _environment(serving.env)
    # MLServer answers /v2/health/ready with no model loaded (MLServer#2056): ask for the model itself.
    return model | _resources(serving) | _probes(f"/v2/models/{slug}/ready", serving)


def _container(slug: str, serving: Serving) -> Object:
    if serving.image_server == "mlserver":
        ready = f"/v2/models/{slug}/ready"
        env = {"MLSERVER_MODEL_NAME": slug, "PROTOCOL": "v2"}
    else:
        ready = "/ping"
        # Without it MLflow's server starts one worker per core of the node, whatever the limit.
        workers = math.floor(quantity.parse(serving.limits.get("cpu", "1")))
        env = {"MLFLOW_MODELS_WORKERS": str(max(1, workers))}
    return {
        "name": "kserve-container",
        "image": serving.image,
        "ports": [{"containerPort": PORT, "protocol": "TCP"}],
        "env": _environment(env | serving.env),
        **_resources(serving),
        **_probes(ready, serving),
    }


def _environment(env: dict[str, str]) -> list[Plain]:
    return [{"name": name, "value": value} for name, value in sorted(env.items())]


def _resources(serving: Serving) -> Object:
    return {"resources": {"requests": dict(serving.requests), "limits": dict(serving.limits)}}


def _probes(path: str, serving: Serving) -> Object:
    if serving.knative:
        # Knative fills in the port; a startup probe is left out, its support differs between versions.
        return {"readinessProbe": _probe({"path": path, "scheme": "HTTP"}, 3)}
    get: Object = {"path": path, "port": PORT, "scheme": "HTTP"}
    tries = math.ceil(serving.startup_seconds / _PROBE_SECONDS)
    return {"readinessProbe": _probe(get, 3), "startupProbe": _probe(get, tries)}


def _probe(get: Object, failures: int) -> Object:
    return {"httpGet": get, "periodSeconds": _PROBE_SECONDS, "timeoutSeconds": 5, "failureThreshold": failures}
