"""The InferenceService (serving.kserve.io/v1beta1), written as the admission webhook would leave it.

Source of the rules: KServe 0.15 to 0.21, inference_service_validation.go and inference_service_defaults.go.
Every field that the webhook or the CRD would default inside a list is there, so that Argo CD is in sync.
"""

from __future__ import annotations

from m2g.core.config_types import Mode
from m2g.rendering.kserve.profiles import FORMS
from m2g.rendering.objects import Object, Subject
from m2g.serving.spec import Serving


def mode_name(serving: Serving) -> str:
    """The word of the target version for the mode; the old words break updates since 0.16 (kserve#5885)."""
    if serving.kserve.version == "0.15":
        return {Mode.STANDARD: "RawDeployment", Mode.KNATIVE: "Serverless"}[serving.kserve.mode]
    return str(serving.kserve.mode)


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
        annotations["m2g.dev/profile"] = subject.profile
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
    return predictor | FORMS[subject.profile].predictor(slug, subject, serving)


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
