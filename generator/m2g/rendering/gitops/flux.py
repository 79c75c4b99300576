"""The Flux Kustomization of one model in one environment (kustomize.toolkit.fluxcd.io/v1).

`wait` is false: the backend decides which objects show the health of a model.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import UNSET

from m2g.core.config_types import Environment, Flux, Sync
from m2g.core.yaml_writer import Plain
from m2g.repository import layout
from m2g.repository.layout import Key
from m2g.serving.backends import BACKENDS
from m2g.serving.spec import Serving


def name_environment(name: str, environment: str) -> str:
    """The Kustomization of a serving environment."""
    return f"{layout.environment_unit(name)}.{environment}"


def render_kustomization(
    sync: Sync, key: Key, place: Environment, serving: Serving, versions: Mapping[str, str]
) -> dict[str, Plain]:
    """fleet/<env>/<slug>.yaml. `versions` are those of everything that serves, by name."""
    slug, environment = key
    backend = BACKENDS[serving.backend]
    flux = Flux() if sync.flux is UNSET else sync.flux
    spec: dict[str, Plain] = {
        "interval": flux.interval,
        "retryInterval": "2m",
        "timeout": flux.timeout,
        "path": f"./{layout.from_git_root(sync.path, layout.overlay(slug, environment))}",
        "prune": True,
        "deletionPolicy": "Orphan" if place.keep_on_removal else "MirrorPrune",
        "wait": False,
        "sourceRef": {"kind": "GitRepository", "name": flux.source},
    }
    if flux.service_account_name is not UNSET:
        spec["serviceAccountName"] = flux.service_account_name
    if flux.depends_on:
        spec["dependsOn"] = [{"name": name} for name in flux.depends_on]
    spec["healthChecks"] = [one for name in versions for one in backend.health(name, place.namespace, serving)]
    if expressions := backend.health_expressions(serving, versions):
        spec["healthCheckExprs"] = list(expressions)
    return {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": {
            # Slugs and environments have no dots, so `a-b` in `c` and `a` in `b-c` get different names.
            "name": f"{slug}.{environment}",
            "namespace": flux.namespace,
            "labels": {"app.kubernetes.io/managed-by": "m2g", "m2g.dev/environment": environment},
        },
        "spec": spec,
    }
