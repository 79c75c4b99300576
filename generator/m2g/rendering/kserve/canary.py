"""The objects of a canary: `spec.canary`, or a second InferenceService behind a HTTPRoute or an InferenceGraph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import msgspec
from msgspec import UNSET

from m2g.core.yaml_writer import Plain
from m2g.rendering.kserve import inference_service, mlserver_image
from m2g.rendering.kserve.objects import SERVICE
from m2g.rendering.kserve.profiles import PROFILES
from m2g.rendering.metadata import make_annotations, make_labels
from m2g.rendering.objects import Object, ServedModel
from m2g.serving.canary import Candidate, Split, name_entry, name_service
from m2g.serving.spec import Serving

_PREFIX = "canary-"
"""How the files of a candidate begin, in the overlay."""
_PORT = 80
"""The port of the Service `<InferenceService>-predictor` that KServe makes."""
_LATER = {"argocd.argoproj.io/sync-wave": "1"}
"""Argo CD applies what sends requests to a service after the service."""
_BY_ARGUMENT = ("native", "huggingface")
"""Profiles whose server takes the model's name from its arguments."""


class CanaryInput(msgspec.Struct, frozen=True, kw_only=True):
    """What a canary is rendered from: the stable version and its settings, and the candidate of `split`."""

    slug: str
    namespace: str
    stable: ServedModel
    serving: Serving
    split: Split
    candidate: ServedModel | None


def render_canary(objects: Mapping[str, Object], canary: CanaryInput) -> dict[str, Object]:
    """The objects of a release with those of the canary."""
    one, served = canary.split.candidate, canary.candidate
    if canary.split.form == "spec":
        if one is None or served is None:
            return dict(objects)
        served = msgspec.structs.replace(served, predictor=one.name)
        service = inference_service.add_canary(objects[SERVICE], canary.slug, served, canary.split, canary.serving)
        return {**objects, SERVICE: service, **_render_others(canary.slug, served, one)}
    result = dict(objects)
    if one is not None and served is not None:
        service = _render_second(canary.slug, served, one)
        result |= {f"{_PREFIX}{SERVICE}": service, **_render_others(one.name, served, one)}
    entry = _render_route(canary) if canary.split.form == "route" else _render_graph(canary)
    return {**result, ("httproute.yaml" if canary.split.form == "route" else "inferencegraph.yaml"): entry}


def _render_others(name: str, served: ServedModel, one: Candidate) -> dict[str, Object]:
    """The candidate's own ServingRuntime, if its profile has one."""
    others = PROFILES[served.profile].others(name, served, one.serving)
    return {f"{_PREFIX}{file}": item for file, item in others.items()}


def _render_second(slug: str, served: ServedModel, one: Candidate) -> Object:
    """The candidate's InferenceService. It serves the model under the stable one's name, which is part of V2 paths."""
    low = one.replicas if one.serving.min_replicas else 0
    high = max(one.serving.max_replicas, low) if one.serving.max_replicas else 0
    serving = msgspec.structs.replace(one.serving, min_replicas=low, max_replicas=high, batch=None)
    if served.profile == "mlserver-image" and not served.runtime:
        served = served.served_by(mlserver_image.name_runtime(one.name))
    if served.profile in ("mlserver", "mlserver-image", "oci"):
        serving = msgspec.structs.replace(serving, env={**serving.env, "MLSERVER_MODEL_NAME": slug})
    service = inference_service.render_inference_service(one.name, served, serving, model=slug)
    return _add_argument(service, f"--model_name={slug}") if served.profile in _BY_ARGUMENT else service


def _add_argument(service: Object, argument: str) -> Object:
    """KServe appends the arguments of `model` to those of the runtime, and the last one counts."""
    spec = cast(Object, service["spec"])
    predictor = cast(Object, spec["predictor"])
    model = {**cast(Object, predictor["model"]), "args": [argument]}
    return {**service, "spec": {**spec, "predictor": {**predictor, "model": model}}}


def _render_route(canary: CanaryInput) -> Object:
    """A HTTPRoute with a host name of its own: KServe has one for the model's usual host name."""
    gateway = canary.serving.kserve.gateway
    host = "" if gateway is UNSET or gateway.host is UNSET else gateway.host
    name, namespace = ("", "") if gateway is UNSET else (gateway.name, gateway.namespace)
    backends: list[Plain] = [
        {"group": "", "kind": "Service", "name": f"{service}-predictor", "port": _PORT, "weight": weight}
        for service, weight in _list_weights(canary)
    ]
    match: Object = {"path": {"type": "PathPrefix", "value": "/"}}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": _metadata(canary),
        "spec": {
            "parentRefs": [
                {"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": namespace, "name": name}
            ],
            "hostnames": [host.replace("{model}", canary.slug).replace("{namespace}", canary.namespace)],
            "rules": [{"matches": [match], "backendRefs": backends}],
        },
    }


def _render_graph(canary: CanaryInput) -> Object:
    steps: list[Plain] = [{"serviceName": service, "weight": weight} for service, weight in _list_weights(canary)]
    metadata = _metadata(canary)
    mode: Object = {"serving.kserve.io/deploymentMode": inference_service.name_mode(canary.serving.kserve)}
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "InferenceGraph",
        "metadata": {**metadata, "annotations": mode | cast(Object, metadata["annotations"])},
        "spec": {"nodes": {"root": {"routerType": "Splitter", "steps": steps}}},
    }


def _metadata(canary: CanaryInput) -> Object:
    """Neither version is named: the entry stays while versions come and go."""
    said = msgspec.structs.replace(canary.stable, release=None)
    return {
        "name": name_entry(canary.slug),
        "labels": make_labels(canary.slug, canary.stable),
        "annotations": {**make_annotations(said), **_LATER},
    }


def _list_weights(canary: CanaryInput) -> list[tuple[str, int]]:
    one = canary.split.candidate
    if one is None:
        return [(canary.slug, 100)]
    return [(canary.slug, 100 - one.percent), (name_service(canary.slug), one.percent)]
