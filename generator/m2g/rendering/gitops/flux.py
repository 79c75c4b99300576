"""The Flux Kustomization of one model in one environment (kustomize.toolkit.fluxcd.io/v1).

`wait` stays false: KServe copies its child's observedGeneration into the InferenceService (kserve#6081), so that
kstatus and Flux's CEL checks may wait for ever. The child that KServe makes is named as the health check instead.
"""

from __future__ import annotations

from msgspec import UNSET

from m2g.core.config_types import Environment, Flux
from m2g.core.yaml_writer import Plain
from m2g.serving.spec import Serving


def kustomization(slug: str, environment: str, place: Environment, flux: Flux, serving: Serving) -> dict[str, Plain]:
    """fleet/<env>/<slug>.yaml"""
    spec: dict[str, Plain] = {
        "interval": flux.interval,
        "retryInterval": "2m",
        "timeout": flux.timeout,
        "path": f"./models/{slug}/overlays/{environment}",
        "prune": True,
        "deletionPolicy": "Orphan" if place.keep_on_removal else "MirrorPrune",
        "wait": False,
        "sourceRef": {"kind": "GitRepository", "name": flux.source},
    }
    if flux.service_account_name is not UNSET:
        spec["serviceAccountName"] = flux.service_account_name
    if flux.depends_on:
        spec["dependsOn"] = [{"name": name} for name in flux.depends_on]
    child = {"apiVersion": "apps/v1", "kind": "Deployment"}
    if serving.knative:
        child = {"apiVersion": "serving.knative.dev/v1", "kind": "Service"}
    spec["healthChecks"] = [{**child, "name": f"{slug}-predictor", "namespace": place.namespace}]
    return {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": {
            # A dot, which no slug and no environment has: `a-b` in `c` and `a` in `b-c` must stay two.
            "name": f"{slug}.{environment}",
            "namespace": flux.namespace,
            "labels": {"app.kubernetes.io/managed-by": "m2g", "m2g.dev/environment": environment},
        },
        "spec": spec,
    }
