"""The platform as Flux installs it: Kustomizations that wait for each other, and one HelmRelease for each chart."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UnsetType

from m2g.core.config_types import Flux, Sync
from m2g.core.yaml_writer import Plain
from m2g.rendering.gitops.install import Component, Files, make_object
from m2g.repository import layout

_ACCOUNT = "platform"


def render_install(sync: Sync, components: Sequence[Component]) -> Files:
    """An account that may do everything, three Kustomizations, and the HelmReleases."""
    flux = Flux() if isinstance(sync.flux, UnsetType) else sync.flux
    role: dict[str, Plain] = {
        "apiGroup": "rbac.authorization.k8s.io",
        "kind": "ClusterRole",
        "name": "cluster-admin",
    }
    subjects: list[Plain] = [{"kind": "ServiceAccount", "name": _ACCOUNT, "namespace": flux.namespace}]
    binding = make_object(
        "rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "m2g-platform", roleRef=role, subjects=subjects
    )
    folder = f"./{layout.from_git_root(sync.path, layout.INSTALL)}"
    files = {
        "flux.yaml": [
            make_object("v1", "ServiceAccount", _ACCOUNT, flux.namespace),
            binding,
            _render_kustomization("platform-base", f"{folder}/flux/base", flux, after=""),
            _render_kustomization("platform-network", f"{folder}/network", flux, after="platform-base"),
            _render_kustomization("platform-kserve", f"{folder}/flux/kserve", flux, after="platform-network"),
        ]
    }
    for one in components:
        release = _render_release(one, flux.namespace)
        files[f"flux/{one.stage}/{one.name}.yaml"] = [_render_repository(one, flux.namespace), release]
    return files


def _render_kustomization(name: str, path: str, flux: Flux, *, after: str) -> dict[str, Plain]:
    spec: dict[str, Plain] = {
        "interval": "1h",
        "retryInterval": "2m",
        "timeout": "15m",
        "path": path,
        "prune": False,
        "wait": True,
        "serviceAccountName": _ACCOUNT,
        "sourceRef": {"kind": "GitRepository", "name": flux.source},
        **({"dependsOn": [{"name": after}]} if after else {}),
    }
    return make_object("kustomize.toolkit.fluxcd.io/v1", "Kustomization", name, flux.namespace, spec=spec)


def _render_repository(one: Component, namespace: str) -> dict[str, Plain]:
    spec: dict[str, Plain] = {"interval": "24h", "url": one.chart.repository}
    if one.chart.repository.startswith("oci://"):
        spec["type"] = "oci"
    return make_object("source.toolkit.fluxcd.io/v1", "HelmRepository", one.name, namespace, spec=spec)


def _render_release(one: Component, namespace: str) -> dict[str, Plain]:
    chart: dict[str, Plain] = {
        "chart": one.chart.name,
        "version": one.chart.version,
        "sourceRef": {"kind": "HelmRepository", "name": one.name},
    }
    spec: dict[str, Plain] = {
        "interval": "1h",
        "timeout": "10m",
        "releaseName": one.name,
        "targetNamespace": one.namespace,
        "storageNamespace": one.namespace,
        "serviceAccountName": _ACCOUNT,
        "chart": {"spec": chart},
        "install": {"createNamespace": True, "crds": "CreateReplace", "remediation": {"retries": 5}},
        "upgrade": {"crds": "CreateReplace", "remediation": {"retries": 5}},
        **({"dependsOn": [{"name": need} for need in one.needs]} if one.needs else {}),
        **({"values": one.values} if one.values else {}),
    }
    return make_object("helm.toolkit.fluxcd.io/v2", "HelmRelease", one.name, namespace, spec=spec)
