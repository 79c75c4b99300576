"""The objects beside an InferenceService: a disruption budget, a network policy and a model cache."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import cast

from m2g.core import quantity
from m2g.core.yaml_writer import Plain
from m2g.rendering.objects import Object, ServedModel
from m2g.serving.spec import Serving

_POD = "serving.kserve.io/inferenceservice"
"""The label that KServe gives to all pods of an InferenceService; `component` says which part they are."""


def render_companions(slug: str, served: ServedModel, serving: Serving) -> dict[str, Object]:
    """File → object."""
    found: dict[str, Object] = {}
    if isinstance(budget := serving.given.get("disruptionBudget"), Mapping):
        selector = {"matchLabels": {_POD: slug, "component": "predictor"}}
        spec = {**cast(Object, budget), "selector": selector}
        found["poddisruptionbudget.yaml"] = _make("policy/v1", "PodDisruptionBudget", _head(slug, served), spec)
    if isinstance(policy := serving.given.get("networkPolicy"), Mapping):
        own: Object = {"podSelector": {"matchLabels": {_POD: slug}}}
        spec = {
            "podSelector": own["podSelector"],
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [*cast(list[Plain], policy["from"]), own]}],
        }
        found["networkpolicy.yaml"] = _make("networking.k8s.io/v1", "NetworkPolicy", _head(slug, served), spec)
    if served.storage_uri and isinstance(cache := serving.given.get("modelCache"), Mapping):
        found["modelcache.yaml"] = _model_cache(slug, served, serving, cast(Object, cache))
    return found


def _model_cache(slug: str, served: ServedModel, serving: Serving, cache: Object) -> Object:
    """KServe refuses to change the URI of a cache, so other files are another cache."""
    spec: Object = {
        "sourceModelUri": served.storage_uri,
        "modelSize": quantity.canonicalize(str(cache["size"])),
        "nodeGroups": list(cast(list[Plain], cache["nodeGroups"])),
    }
    if serving.service_account_name:
        spec["serviceAccountName"] = serving.service_account_name
    if storage := serving.given.get("storage"):
        spec["storage"] = {key: value for key, value in cast(Object, storage).items() if key in ("key", "parameters")}
    name = f"{slug}-{hashlib.sha256(served.storage_uri.encode()).hexdigest()[:8]}"
    head = {**_head(slug, served), "name": name}
    return _make("serving.kserve.io/v1alpha1", "LocalModelNamespaceCache", head, spec)


def _head(slug: str, served: ServedModel) -> Object:
    labels: Object = {
        "app.kubernetes.io/name": slug,
        "app.kubernetes.io/managed-by": "m2g",
        "m2g.dev/environment": served.environment,
    }
    # They must exist before the pods.
    return {"name": slug, "labels": labels, "annotations": {"argocd.argoproj.io/sync-wave": "-1"}}


def _make(version: str, kind: str, head: Object, spec: Object) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": head, "spec": spec}
