"""The InferenceService (serving.kserve.io/v1beta1), in the form that KServe's admission webhook does not change.

Source of the rules: KServe 0.15 to 0.21, inference_service_validation.go and inference_service_defaults.go.
`settle` sets every field of a list that the webhook or the CRD would default, so that Argo CD shows no difference.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from m2g.core import json_patch
from m2g.core.config_types import Kserve
from m2g.core.kserve_fields import list_annotations
from m2g.core.setting_fields import Mode
from m2g.rendering.kserve.common import OF_RUNTIMES, render_given, render_pod
from m2g.rendering.kserve.profiles import PROFILES
from m2g.rendering.metadata import make_annotations, make_labels
from m2g.rendering.objects import Object, ServedModel
from m2g.serving.batch_run import Problem
from m2g.serving.canary import Split
from m2g.serving.companion_checks import compute_rolling_update
from m2g.serving.patch import list_operations
from m2g.serving.spec import Serving
from m2g.serving.stored import settle

_WITHOUT_V1 = ("mlserver", "mlserver-image", "mlflow-image", "oci")
"""Profiles whose server has no `:predict`, the only path that the batcher reads (kserve pkg/batcher/handler.go)."""


def name_mode(kserve: Kserve) -> str:
    """The target version's name of the deployment mode. Since 0.16, the old names break updates (kserve#5885)."""
    if kserve.version == "0.15":
        return {Mode.STANDARD: "RawDeployment", Mode.KNATIVE: "Serverless"}[kserve.mode]
    return str(kserve.mode)


def render_inference_service(slug: str, served: ServedModel, serving: Serving, *, model: str = "") -> Object:
    """The complete object, keys in reading order, as the cluster stores it. `model` is the name in the paths of
    requests, if it is not the object's."""
    service = _render_settings(slug, served, serving, model=model)
    operations = list_operations(serving)
    if operations and served.release is not None:  # the base has not yet all that a patch may need
        service, _ = json_patch.apply(service, operations)
    return settle(service, serving.kserve.version)


def find_problems(slug: str, served: ServedModel, serving: Serving) -> Iterator[Problem]:
    """The settings that do not fit how this release is served."""
    if operations := list_operations(serving):
        for pointer, why in json_patch.apply(_render_settings(slug, served, serving), operations)[1]:
            yield "patch", f"the patch of {pointer} fits no place: {why}", "add what is around it first, or remove it"
    if served.profile == "mlflow-image" and not served.runtime:
        for name in sorted(OF_RUNTIMES & serving.given.keys()):
            yield name, f"an image that has the model in it does not use {name}", f"remove {name}"
    if not served.storage_uri and "modelCache" in serving.given:
        yield "modelCache", "an image that has the model in it reads no files to keep", "remove modelCache"
    if served.profile in _WITHOUT_V1 and "batcher" in serving.given:
        message = f"KServe's batcher joins requests of protocol v1 only, and the profile {served.profile} has none"
        yield "batcher", message, "remove it; for MLServer, set mlserver: {maxBatchSize: 32, maxBatchTime: 0.05}"


def _render_settings(slug: str, served: ServedModel, serving: Serving, *, model: str = "") -> Object:
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": slug,
            "labels": _labels(slug, served, serving),
            "annotations": _annotations(served, serving),
        },
        "spec": {"predictor": _predictor(model or slug, served, serving), **render_given(serving, ("spec",))},
    }


def add_canary(service: Object, slug: str, served: ServedModel, split: Split, serving: Serving) -> Object:
    """The InferenceService with `spec.canary`. Each field that differs between versions is in the entry, so that its
    pods stay as they are when it becomes the stable predictor.
    """
    one = split.candidate
    if one is None:
        return service
    scaling = (*_scaling(serving), *_scaling(one.serving), "annotations")
    alone = cast(Object, cast(Object, render_inference_service(slug, served, one.serving)["spec"])["predictor"])
    predictor: Object = {name: part for name, part in alone.items() if name not in scaling}
    own: Object = {name: text for name, text in make_annotations(served).items() if name.startswith("m2g.dev/")}
    given = cast(Object, alone.get("annotations", {}))
    predictor = {"name": one.name, "minReplicas": one.replicas, "annotations": {**given, **own}, **predictor}
    spec = cast(Object, service["spec"])
    canary: Object = {"trafficPercent": one.percent, "predictor": predictor}
    parts: Object = {"predictor": spec["predictor"], "canary": [canary]}
    return settle({**service, "spec": {**parts, **spec, **parts}}, serving.kserve.version)


def _labels(slug: str, served: ServedModel, serving: Serving) -> Object:
    labels = make_labels(slug, served)
    if serving.visibility == "cluster-local":
        labels["networking.kserve.io/visibility"] = "cluster-local"
    return labels | dict(sorted(serving.labels.items()))


def _annotations(served: ServedModel, serving: Serving) -> Object:
    annotations: Object = {"serving.kserve.io/deploymentMode": name_mode(serving.kserve)}
    if not serving.knative:
        annotations["serving.kserve.io/autoscalerClass"] = serving.autoscaler
    annotations |= dict(list_annotations(cast(Object, serving.given.get("knativeScaling", {}))))
    return annotations | make_annotations(served) | dict(sorted(serving.annotations.items()))


def _predictor(slug: str, served: ServedModel, serving: Serving) -> Object:
    predictor: Object = {"name": served.predictor} if served.predictor else {}
    if serving.service_account_name:
        predictor["serviceAccountName"] = serving.service_account_name
    predictor |= _scaling(serving)
    if serving.timeout_seconds is not None:
        predictor["timeout"] = serving.timeout_seconds
    if serving.node_selector:
        predictor["nodeSelector"] = dict(sorted(serving.node_selector.items()))
    predictor |= {name: value for name, value in render_pod(serving).items() if name not in predictor}
    return predictor | PROFILES[served.profile].predictor(slug, served, serving)


def _scaling(serving: Serving) -> Object:
    scaling: Object = {"minReplicas": serving.min_replicas}
    if serving.max_replicas:  # 0 is "no limit". KServe drops a 0, and Argo CD would always show a difference.
        scaling["maxReplicas"] = serving.max_replicas
    if serving.knative:
        scaling |= {"scaleMetric": serving.scale_metric, "scaleTarget": serving.scale_target}
        return scaling | {"containerConcurrency": serving.container_concurrency}
    if "autoScaling" in serving.given:
        return scaling | {"autoScaling": _autoscaling(serving), "deploymentStrategy": _strategy(serving)}
    if serving.autoscaler == "hpa":
        scaling |= {"scaleMetric": serving.scale_metric, "scaleTarget": serving.scale_target}
    if serving.autoscaler == "keda":
        scaling["autoScaling"] = _autoscaling(serving)
    return scaling | {"deploymentStrategy": _strategy(serving)}


def _autoscaling(serving: Serving) -> Object:
    """The metrics and the behavior of the settings; without metrics, that of `scaleMetric`."""
    target: Object = {"type": "Utilization", "averageUtilization": serving.scale_target}
    metric: Object = {"type": "Resource", "resource": {"name": serving.scale_metric, "target": target}}
    given = serving.given.get("autoScaling")
    return {"metrics": [metric], **(cast(Object, given) if isinstance(given, dict) else {})}


def _strategy(serving: Serving) -> Object:
    if serving.deployment_strategy == "Recreate":
        return {"type": "Recreate"}
    return {"type": "RollingUpdate", "rollingUpdate": dict(compute_rolling_update(serving))}
