"""KServe as a serving backend."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from m2g.compat.runtime import Runtime
from m2g.core.finding import Finding
from m2g.core.kserve_fields import MLSERVER_VARIABLES
from m2g.core.manifest import Manifest, get_at
from m2g.core.model import Release
from m2g.core.setting_fields import MODEL, is_older
from m2g.core.settings import list_fields
from m2g.inference import curl
from m2g.serving import companion_checks, gate, knative, patch, profile
from m2g.serving.backend import Backend, Kind, Place
from m2g.serving.batch_run import Problem
from m2g.serving.spec import Serving, ServingChoice

_GROUP = "serving.kserve.io"
_SETTINGS: dict[Place, str] = {place: field.name for field in list_fields().values() for place in field.row.places}
_DEPLOYMENT_MODE = ("metadata", "annotations", "serving.kserve.io/deploymentMode")
_RENAMED = {"RawDeployment": "Standard", "Serverless": "Knative"}
_HEALTH = """\
-- This ignores observedGeneration: KServe copies it from a child object (kserve#6081).
local status = obj.status or {}
local ready, text
for _, condition in ipairs(status.conditions or {}) do
  if condition.type == "Stopped" and condition.status == "True" then
    return {status = "Suspended", message = "stopped"}
  end
  if condition.type == "Ready" then
    ready = condition.status
    text = condition.message or condition.reason or text
  end
end
local model = status.modelStatus or {}
local transition = model.transitionStatus
if transition == "InvalidSpec" or transition == "BlockedByFailedLoad" then
  local failure = model.lastFailureInfo or {}
  local why = failure.message or failure.reason or text or "see its conditions"
  return {status = "Degraded", message = transition .. ": " .. why}
end
if ready == "True" then
  return {status = "Healthy", message = "ready"}
end
return {status = "Progressing", message = text or "waiting for KServe"}
"""


def _choose(
    release: Release, serving: Serving, storage_uri: str, runtimes: Sequence[Runtime]
) -> tuple[ServingChoice, list[Finding]]:
    return profile.choose_profile(
        profile.ProfileInput(
            release=release,
            serving=serving,
            storage_uri=storage_uri,
            verdicts=gate.check_runtimes(release, serving, runtimes),
        )
    )


def _contradictions(serving: Serving) -> Iterator[Finding]:
    """Source of the rules: kserve pkg/apis/serving/v1beta1/inference_service_validation.go and component.go."""
    for path, message, hint in (
        *_check_limits(serving),
        *_check_profile(serving),
        *_check_scaling(serving),
        *companion_checks.find_problems(serving),
        *patch.find_problems(serving),
    ):
        yield Finding(rule="setting-contradiction", path=path, message=message, hint=hint)


def _check_limits(serving: Serving) -> Iterator[Problem]:
    """What the mode, the version or the Knative of the environment does not have."""
    kserve = serving.kserve
    for field in list_fields().values():
        name, row = field.name, field.row
        flag = knative.POD_FEATURES.get(row.places[0][-1], "") if row.pod else ""
        if not serving.find(field):
            continue
        if row.mode not in (None, kserve.mode):
            yield (
                name,
                f"{name} works only in {row.mode} mode",
                f"remove it, or set kserve.mode: {row.mode} for this environment",
            )
        elif is_older(kserve.version, row.since):
            yield (
                name,
                f"KServe {kserve.version} does not have {name}; KServe {row.since} has it",
                f"remove it, or, if the cluster has KServe {row.since} or newer, set kserve.version in m2g.yaml",
            )
        elif serving.knative and flag and flag not in kserve.knative.features:
            yield (
                name,
                f"Knative refuses {name} unless its feature flag {flag} is enabled",
                f"remove {name}, or, if the cluster enables it, add {flag} to kserve.knative.features in m2g.yaml",
            )


def _check_profile(serving: Serving) -> Iterator[Problem]:
    profile = serving.profile
    if serving.storage_secret_name:
        message = "KServe finds credentials by the ServiceAccount; storageSecretName is Seldon's"
        yield "storageSecretName", message, "remove it, and set serviceAccountName"
    if serving.image and profile not in ("auto", "mlserver-image", "mlflow-image"):
        yield "image", f"the profile {profile} does not use an image", "remove image, or set profile: auto"
    server = "mlserver" if profile == "mlserver-image" else "mlflow"
    yield from _check_mlserver(serving)
    if serving.image and profile != "auto" and serving.image_server not in ("", server):
        yield (
            "imageServer",
            f"the profile {profile} needs an image that runs {server}, but imageServer is {serving.image_server}",
            f"set imageServer: {server}, or another profile",
        )
    if serving.runtime and (serving.image or profile in ("mlserver-image", "mlflow-image")):
        yield (
            "runtime",
            "a model that its own image serves does not use a runtime",
            "remove runtime, or remove image and profile",
        )


def _check_mlserver(serving: Serving) -> Iterator[Problem]:
    given = serving.given.get("mlserver")
    if not isinstance(given, dict) or not given:
        return
    if serving.profile in ("mlflow-image", "native", "huggingface"):
        message = f"MLServer does not serve the profile {serving.profile}"
        yield "mlserver", message, "remove mlserver, or set profile: mlserver"
    for one, other in (("maxBatchSize", "maxBatchTime"), ("maxBatchTime", "maxBatchSize")):
        if one in given and other not in given:
            yield f"mlserver.{one}", f"adaptive batching needs {other}, too", f"set mlserver.{other}, or remove {one}"
    for name, variable in MLSERVER_VARIABLES.items():
        if name in given and variable in serving.env:
            yield f"env.{variable}", f"env and mlserver.{name} both set {variable}", f"remove env.{variable}"


def _check_scaling(serving: Serving) -> Iterator[Problem]:
    low, high = serving.min_replicas, serving.max_replicas
    if low > high > 0:
        yield "minReplicas", f"minReplicas {low} is above maxReplicas {high}", "raise maxReplicas or lower minReplicas"
    if serving.knative:
        yield from _check_knative(serving)
        return
    if low == 0:
        yield (
            "minReplicas",
            "minReplicas 0 (scale to zero) does not work in Standard mode",
            "set minReplicas: 1, or kserve.mode: Knative for this environment",
        )
    yield from _check_metrics(serving)
    if serving.autoscaler in ("external", "none"):
        return
    if serving.scale_metric not in ("cpu", "memory"):
        yield (
            "scaleMetric",
            f"scaleMetric {serving.scale_metric} works only in Knative mode",
            "set scaleMetric to cpu or memory, or kserve.mode: Knative",
        )
    if serving.scale_target > 100:
        yield (
            "scaleTarget",
            f"scaleTarget {serving.scale_target} is not a percentage; KServe refuses more than 100",
            "set it to 1 to 100: the percentage of the requested cpu or memory",
        )


def _check_metrics(serving: Serving) -> Iterator[Problem]:
    given = serving.given.get("autoScaling")
    if given is None:
        return
    metrics = given.get("metrics") if isinstance(given, dict) else None
    kinds = [str(get_at(metric, "type")) for metric in metrics] if isinstance(metrics, list) else []
    if serving.autoscaler in ("external", "none"):
        message = f"autoscaler: {serving.autoscaler} leaves the number of pods to others, so nothing reads autoScaling"
        yield "autoScaling", message, "remove it, or set autoscaler: keda"
    elif serving.autoscaler == "hpa" and (others := [kind for kind in kinds if kind != "Resource"]):
        yield "autoScaling", f"an HPA has no metrics of the type {others[0]}", "set autoscaler: keda"


def _check_knative(serving: Serving) -> Iterator[Problem]:
    if serving.scale_metric in ("cpu", "memory"):
        yield (
            "scaleMetric",
            f"scaleMetric {serving.scale_metric} works only in Standard mode",
            "set scaleMetric to concurrency or rps, or kserve.mode: Standard",
        )
    allowed = serving.kserve.knative
    for path, value, most, key in (
        ("timeoutSeconds", serving.timeout_seconds or 0, allowed.max_timeout_seconds, "maxTimeoutSeconds"),
        (
            "containerConcurrency",
            serving.container_concurrency,
            allowed.max_container_concurrency,
            "maxContainerConcurrency",
        ),
    ):
        if value > most:
            yield (
                path,
                f"{path} {value} is more than Knative allows ({most})",
                f"lower {path}, or, if the cluster's Knative allows more, raise kserve.knative.{key} in m2g.yaml",
            )


def _refused_update(before: Manifest, after: Manifest) -> str:
    old, new = (str(get_at(item, *_DEPLOYMENT_MODE) or "") for item in (before, after))
    if not old or new in (old, _RENAMED.get(old)):
        return ""
    return f"the deployment mode changes from {old} to {new or 'unset'}: KServe refuses to change it in place"


def _health(slug: str, namespace: str, serving: Serving) -> tuple[Mapping[str, str], ...]:
    """The Deployment or Knative Service that KServe creates for `slug` (the service or a canary), not the
    InferenceService.

    KServe copies observedGeneration from that child into the InferenceService (kserve#6081), so kstatus and Flux's CEL
    checks of the InferenceService may wait forever.
    """
    child = {"apiVersion": "apps/v1", "kind": "Deployment"}
    if serving.knative:
        child = {"apiVersion": "serving.knative.dev/v1", "kind": "Service"}
    return ({**child, "name": f"{slug}-predictor", "namespace": namespace},)


def _health_expressions(serving: Serving, versions: Mapping[str, str]) -> tuple[Mapping[str, str], ...]:
    """KServe copies the annotations of an InferenceService to the pod template. They tell the version of the pods."""
    served = 'spec.template.metadata.?annotations[?"m2g.dev/model-version"].orValue("")'
    first, *others = versions.items()
    expected = json.dumps(first[1])
    for name, version in others:
        expected = f"(metadata.name == {json.dumps(f'{name}-predictor')} ? {json.dumps(version)} : {expected})"
    older = {"inProgress": f"{served} != {expected}"}
    if serving.knative:
        ready = 'status.?conditions.orValue([]).exists(c, c.type == "Ready" && c.status == "True")'
        return ({"apiVersion": "serving.knative.dev/v1", "kind": "Service", **older, "current": ready},)
    late = 'status.?conditions.orValue([]).exists(c, c.type == "Progressing" && c.status == "False")'
    counted = ("updatedReplicas", "availableReplicas", "replicas")
    whole = " && ".join(f"status.?{name}.orValue(0) == spec.replicas" for name in counted)
    return ({"apiVersion": "apps/v1", "kind": "Deployment", **older, "failed": late, "current": whole},)


KSERVE = Backend(
    name="kserve",
    main=Kind(group=_GROUP, kind="InferenceService"),
    writes=(
        Kind(group=_GROUP, kind="InferenceService"),
        Kind(group=_GROUP, kind="ServingRuntime"),
        Kind(group="batch", kind="Job"),
        Kind(group="batch", kind="CronJob"),
    ),
    beside=(
        Kind(group=_GROUP, kind="InferenceGraph"),
        Kind(group="gateway.networking.k8s.io", kind="HTTPRoute"),
        Kind(group="policy", kind="PodDisruptionBudget"),
        Kind(group="networking.k8s.io", kind="NetworkPolicy"),
        Kind(group=_GROUP, kind="LocalModelNamespaceCache"),
    ),
    settings=_SETTINGS,
    recorded=((*MODEL, "storageUri"),),
    configured={_DEPLOYMENT_MODE: ("kserve", "mode")},
    host_label=lambda slug, namespace: f"{slug}-predictor-{namespace}",
    choose=_choose,
    reads_storage=lambda chosen: chosen.profile != "mlflow-image" or bool(chosen.environment),
    contradictions=_contradictions,
    verdict=gate.check_object,
    refused_update=_refused_update,
    health=_health,
    health_expressions=_health_expressions,
    argocd_health=_HEALTH,
    ingress=curl.format_ingress_call,
    port_forward=curl.format_port_forward_call,
)
