"""Seldon Core 1 and Seldon Core 2 as serving backends.

Both run MLServer, so the stock image of MLServer decides which models load. Sources: operator v1.18.2 of Core 1
(seldondeployment_webhook.go, mlserver.go), operator v2.10.2 of Core 2 (model_types.go, utils.go).
"""

from __future__ import annotations

import functools
import shlex
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from m2g.compat.check import check_runtime
from m2g.compat.runtime import Runtime, find_by_image
from m2g.compat.signature import explain_no_answer
from m2g.compat.verdict import Reason, Verdict
from m2g.core.config_types import Kserve
from m2g.core.finding import Finding, Severity
from m2g.core.manifest import Manifest, get_at
from m2g.core.model import Profile, Release
from m2g.core.setting_fields import KserveVersion
from m2g.inference import seldon_calls
from m2g.serving import batch_source
from m2g.serving.backend import Backend, Kind, Place
from m2g.serving.batch_run import Problem
from m2g.serving.spec import Serving, ServingChoice

STOCK_IMAGE = "docker.io/seldonio/mlserver:1.7.1"
"""Core 1 gets it from m2g. Core 2.10 has it in its own Server `mlserver`."""
PREDICTOR = "default"
"""The name of a SeldonDeployment's only predictor. Seldon names Deployments by it: another name recreates the pods."""
_CORE_1, _CORE_2 = "machinelearning.seldon.io", "mlops.seldon.io"
_UNIT = ("spec", "predictors", 0)
_CONTAINER = (*_UNIT, "componentSpecs", 0, "spec", "containers", 0)
_SCHEMES: Mapping[str, tuple[str, ...]] = {_CORE_1: ("s3://", "gs://", "pvc://"), _CORE_2: ("s3://", "gs://")}
"""What Seldon's storage initializer reads: it takes the scheme as the name of a remote of rclone."""
_CORE_1_HEALTH = """\
local status = obj.status or {}
if status.state == "Failed" then
  return {status = "Degraded", message = status.description or "see its conditions"}
end
if status.state == "Available" then
  return {status = "Healthy", message = "available"}
end
return {status = "Progressing", message = status.description or "waiting for Seldon"}
"""
_CORE_2_HEALTH = """\
local status = obj.status or {}
for _, condition in ipairs(status.conditions or {}) do
  if condition.type == "ModelReady" then
    if condition.status == "True" then
      return {status = "Healthy", message = "available"}
    end
    if condition.reason == "ModelFailed" or condition.reason == "ScheduleFailed" then
      return {status = "Degraded", message = condition.message or condition.reason}
    end
    if condition.reason == "ModelScaledDown" then
      return {status = "Suspended", message = "scaled down"}
    end
    return {status = "Progressing", message = condition.message or condition.reason or "loading"}
  end
end
return {status = "Progressing", message = "waiting for Seldon"}
"""


def _choose(
    group: str, release: Release, serving: Serving, storage_uri: str, runtimes: Sequence[Runtime]
) -> tuple[ServingChoice, list[Finding]]:
    stock = _check_stock(release, serving, runtimes)
    profile, image, reason = _choose_profile(group, release, serving, stock)
    batch_image, batch_model = batch_source.find_source(release, serving, storage_uri)
    choice = ServingChoice(
        profile=profile,
        protocol="v2",
        reason=reason,
        verdict=None if image else stock,
        model_format="mlflow",
        runtime=serving.runtime if group == _CORE_2 else "",
        image=image,
        storage_uri=storage_uri,
        batch_image=batch_image,
        batch_model=batch_model,
        waits_for=profile if profile == "mlserver-image" and not image else "",
    )
    findings = [*_check_model(choice, group, release), *batch_source.check_batch(choice, release, serving)]
    return choice, findings


def _choose_profile(group: str, release: Release, serving: Serving, stock: Verdict | None) -> tuple[Profile, str, str]:
    """The profile, the model's own image and the reason."""
    built = release.image.name if release.image is not None and release.image.profile == "mlserver-image" else ""
    image = serving.image or built
    recorded = release.serving if serving.is_automatic else None
    if recorded is not None and recorded.profile in ("mlserver", "mlserver-image" if group == _CORE_1 else ""):
        return recorded.profile, built if recorded.profile == "mlserver-image" else "", recorded.reason
    if group == _CORE_1 and serving.profile == "mlserver-image":
        return "mlserver-image", image, "set by the setting profile"
    if group == _CORE_1 and serving.profile == "auto" and serving.image:
        return "mlserver-image", image, "image is set"
    if group == _CORE_1 and serving.profile == "auto" and built and stock is not None and stock.answer == "fails":
        return "mlserver-image", image, "an image was built for this version"
    if stock is None:
        return "mlserver", "", "Seldon serves MLflow models with MLServer"
    words = {"serves": "loads it", "fails": "does not load it", "unknown": "may load it"}[stock.answer]
    why = f": {stock.reasons[0].text}" if stock.reasons and stock.answer != "serves" else ""
    return "mlserver", "", f"{stock.runtime} {words}{why}"


def _check_stock(release: Release, serving: Serving, runtimes: Sequence[Runtime]) -> Verdict | None:
    """The verdict for the server that loads the model without an image of its own."""
    if release.mlmodel is None:
        return None
    named = next((one for one in runtimes if one.name == serving.runtime and not one.kserve), None)
    described = named if serving.runtime else _find_stock(runtimes)
    if described is None:
        reason = Reason(
            text=f"the server {serving.runtime} is not described",
            fix=f"describe the packages in its image: m2g runtimes import FILE --name {serving.runtime}",
        )
        return Verdict(answer="unknown", runtime=serving.runtime, reasons=(reason,))
    return check_runtime(release.mlmodel, described, serving.limits)


def _find_stock(runtimes: Sequence[Runtime]) -> Runtime | None:
    """MLServer's stock image, which KServe's runtime has, too."""
    found = find_by_image(runtimes, STOCK_IMAGE)
    return None if found is None else msgspec.structs.replace(found, name=STOCK_IMAGE.rpartition("/")[2])


def _check_model(choice: ServingChoice, group: str, release: Release) -> Iterator[Finding]:
    refused = explain_no_answer(release.mlmodel) if release.mlmodel is not None else None
    if choice.profile == "mlserver-image" and refused is not None:
        yield Finding(rule="profile-unfit", path="profile", message=refused.text, hint=refused.fix)
    elif choice.waits_for:
        yield Finding(
            rule="image-missing",
            severity=Severity.WARNING,  # not an error: CI builds the image after the setting is merged
            message=f"version {release.version} has no image for the profile mlserver-image yet",
            hint=f"build one: m2g image {shlex.quote(release.model)} --env {release.environment} -o DIR (then record "
            "it with --record), or set image in model.yaml",
        )
    if choice.storage_uri and not choice.storage_uri.startswith(_SCHEMES[group]):
        yield Finding(
            rule="storage-refused",
            message=f"Seldon does not read {choice.storage_uri[:200]}; it reads {', '.join(_SCHEMES[group])}",
            hint="map it to such a URI by storage.rewrites in m2g.yaml, or set backend: kserve",
        )


def _refuse(backend: str, serving: Serving, unknown: Mapping[str, bool]) -> Iterator[Problem]:
    of_kserve = {name: bool(value) for name, value in serving.given.items()}
    of_kserve |= {f"env.{name}": True for name in serving.env_references}
    of_kserve["podSecurity"] = serving.pod_security != "baseline"
    for path, given in {**unknown, **of_kserve}.items():
        if given:
            yield path, f"{backend} has nothing for {path}", f"remove {path}, or set backend: kserve"
    low, high = serving.min_replicas, serving.max_replicas
    if low > high > 0:
        yield "minReplicas", f"minReplicas {low} is above maxReplicas {high}", "raise maxReplicas or lower minReplicas"


def _refused_by_core_1(serving: Serving) -> Iterator[Finding]:
    scales = serving.max_replicas != serving.min_replicas
    unknown = {
        "profile": serving.profile not in ("auto", "mlserver", "mlserver-image"),
        "imageServer": serving.image_server == "mlflow",
        "runtime": bool(serving.runtime),
        "containerConcurrency": bool(serving.container_concurrency),
        "deploymentStrategy": bool(serving.deployment_strategy),
        "visibility": serving.visibility != "public",
        "autoscaler": serving.autoscaler == "keda",
    }
    problems = list(_refuse("Seldon Core 1", serving, unknown))
    if scales and serving.autoscaler == "hpa":
        if serving.scale_metric not in ("cpu", "memory"):
            message = f"scaleMetric {serving.scale_metric} is Knative's"
            problems.append(("scaleMetric", message, "set scaleMetric to cpu or memory"))
        if serving.min_replicas == 0 or serving.max_replicas == 0:
            message = "Seldon Core 1 scales between two numbers of at least 1"
            problems.append(("minReplicas", message, "set minReplicas and maxReplicas to 1 or more"))
    if serving.profile == "mlserver" and serving.image:
        problems.append(("image", "the profile mlserver does not use an image", "remove image, or set profile: auto"))
    return _make_findings(problems)


def _refused_by_core_2(serving: Serving) -> Iterator[Finding]:
    unknown = {
        "profile": serving.profile not in ("auto", "mlserver"),
        "image": bool(serving.image),
        "imageServer": bool(serving.image_server),
        "env": bool(serving.env),
        "nodeSelector": bool(serving.node_selector),
        "serviceAccountName": bool(serving.service_account_name),
        "containerConcurrency": bool(serving.container_concurrency),
        "deploymentStrategy": bool(serving.deployment_strategy),
        "visibility": serving.visibility != "public",
        "autoscaler": serving.autoscaler == "keda",
        "timeoutSeconds": serving.timeout_seconds is not None,
    }
    return _make_findings(_refuse("Seldon Core 2", serving, unknown))


def _make_findings(problems: Iterator[Problem] | Sequence[Problem]) -> Iterator[Finding]:
    for path, message, hint in problems:
        yield Finding(rule="setting-contradiction", path=path, message=message, hint=hint)


def _check_core_1(
    item: Manifest,
    _overlay: Sequence[Manifest],
    release: Release | None,
    _version: KserveVersion,
    runtimes: Sequence[Runtime],
) -> Verdict | None:
    """The verdict for the image of a built SeldonDeployment."""
    image = str(get_at(item, *_CONTAINER, "image"))
    described = _find_stock(runtimes) if image == STOCK_IMAGE else find_by_image(runtimes, image)
    if described is None or release is None or release.mlmodel is None:
        return None
    limits = get_at(item, *_CONTAINER, "resources", "limits")
    texts = {str(key): str(value) for key, value in limits.items()} if isinstance(limits, dict) else {}
    return check_runtime(release.mlmodel, described, texts)


def _check_core_2(
    item: Manifest,
    _overlay: Sequence[Manifest],
    release: Release | None,
    version: KserveVersion,
    runtimes: Sequence[Runtime],
) -> Verdict | None:
    """The verdict for the Server of a built Model."""
    server = get_at(item, "spec", "server")
    serving = Serving(kserve=Kserve(version=version), runtime=server if isinstance(server, str) else "")
    return None if release is None else _check_stock(release, serving, runtimes)


def _health(group: str, version: str, kind: str, slug: str, namespace: str) -> tuple[Mapping[str, str], ...]:
    return ({"apiVersion": f"{group}/{version}", "kind": kind, "name": slug, "namespace": namespace},)


_PLACES_1: dict[Place, str] = {
    (*_UNIT, "replicas"): "minReplicas",
    (*_UNIT, "componentSpecs", 0, "hpaSpec"): "maxReplicas",
    (*_UNIT, "componentSpecs", 0, "spec", "serviceAccountName"): "serviceAccountName",
    (*_UNIT, "componentSpecs", 0, "spec", "nodeSelector"): "nodeSelector",
    **{(*_CONTAINER, name): name for name in ("resources", "env", "image")},
    (*_CONTAINER, "startupProbe"): "startupSeconds",
    (*_UNIT, "graph", "envSecretRefName"): "storageSecretName",
    ("spec", "annotations"): "timeoutSeconds",
    ("metadata", "labels"): "labels",
    ("metadata", "annotations"): "annotations",
}
_PLACES_2: dict[Place, str] = {
    **{("spec", name): name for name in ("minReplicas", "maxReplicas")},
    ("spec", "replicas"): "minReplicas",
    ("spec", "memory"): "resources",
    ("spec", "server"): "runtime",
    ("spec", "secretName"): "storageSecretName",
    ("metadata", "labels"): "labels",
    ("metadata", "annotations"): "annotations",
}
_BATCH = (Kind(group="batch", kind="Job"), Kind(group="batch", kind="CronJob"))

SELDON_CORE_1 = Backend(
    name="seldon-core-1",
    main=Kind(group=_CORE_1, kind="SeldonDeployment"),
    writes=(Kind(group=_CORE_1, kind="SeldonDeployment"), *_BATCH),
    settings=_PLACES_1,
    recorded=((*_UNIT, "graph", "modelUri"),),
    host_label=lambda slug, namespace: f"{slug}-{PREDICTOR}",
    choose=functools.partial(_choose, _CORE_1),
    reads_storage=lambda chosen: True,
    contradictions=_refused_by_core_1,
    verdict=_check_core_1,
    refused_update=lambda before, after: "",
    health=lambda slug, namespace, serving: _health(_CORE_1, "v1", "SeldonDeployment", slug, namespace),
    health_expressions=lambda serving, versions: (
        {
            "apiVersion": f"{_CORE_1}/v1",
            "kind": "SeldonDeployment",
            "inProgress": 'status.?state.orValue("Creating") == "Creating"',
            "failed": 'status.?state.orValue("") == "Failed"',
            "current": 'status.?state.orValue("") == "Available"',
        },
    ),
    argocd_health=_CORE_1_HEALTH,
    ingress=seldon_calls.format_core_1_ingress,
    port_forward=functools.partial(seldon_calls.format_core_1_port_forward, PREDICTOR),
)
SELDON_CORE_2 = Backend(
    name="seldon-core-2",
    main=Kind(group=_CORE_2, kind="Model"),
    writes=(Kind(group=_CORE_2, kind="Model"), *_BATCH),
    settings=_PLACES_2,
    recorded=(("spec", "storageUri"),),
    host_label=lambda slug, namespace: slug,
    choose=functools.partial(_choose, _CORE_2),
    reads_storage=lambda chosen: True,
    contradictions=_refused_by_core_2,
    verdict=_check_core_2,
    refused_update=lambda before, after: "",
    health=lambda slug, namespace, serving: _health(_CORE_2, "v1alpha1", "Model", slug, namespace),
    argocd_health=_CORE_2_HEALTH,
    ingress=lambda endpoint, body: (),
    port_forward=seldon_calls.format_core_2_port_forward,
)
