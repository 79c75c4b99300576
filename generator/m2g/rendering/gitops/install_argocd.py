"""The platform as Argo CD installs it: a project of its own, and one Application for each chart, in sync waves.

Waves wait only if Argo CD's configuration has a health check for Applications; docs/how-to/install-the-platform.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from m2g.core.platform_types import PlatformInstall
from m2g.core.yaml_writer import Plain
from m2g.rendering.gitops.install import Component, Files, Stage, make_object

_CLUSTER = "https://kubernetes.default.svc"
_WAVES: dict[Stage, str] = {"base": "0", "network": "1", "kserve": "2"}


def render_install(platform: PlatformInstall, components: Sequence[Component], folder: str) -> Files:
    """The project with an Application of Applications, and the Applications. `folder` is from the root of Git."""
    repositories = sorted({_plain_address(one.chart.repository) for one in components})
    project: dict[str, Plain] = {
        "description": "What the models need; written by m2g from `platform` in m2g.yaml",
        "sourceRepos": [platform.repository, *repositories],
        "destinations": [{"server": _CLUSTER, "namespace": "*"}],
        "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
    }
    own: dict[str, Plain] = {"repoURL": platform.repository, "targetRevision": platform.revision}
    network = _render_application("platform-network", "kserve", {**own, "path": f"{folder}/network"}, "network")
    files = {
        "argocd.yaml": [
            make_object("argoproj.io/v1alpha1", "AppProject", "platform", "argocd", spec=project),
            _render_application("platform", "argocd", {**own, "path": f"{folder}/argocd"}, "base"),
        ],
        "argocd/network.yaml": [network],
    }
    for one in components:
        source: dict[str, Plain] = {
            "repoURL": _plain_address(one.chart.repository),
            "chart": one.chart.name,
            "targetRevision": one.chart.version,
            "helm": {"releaseName": one.name, **({"valuesObject": one.values} if one.values else {})},
        }
        files[f"argocd/{one.name}.yaml"] = [_render_application(one.name, one.namespace, source, one.stage)]
    return files


def _render_application(name: str, namespace: str, source: dict[str, Plain], stage: Stage) -> dict[str, Plain]:
    spec: dict[str, Plain] = {
        "project": "platform",
        "source": source,
        "destination": {"server": _CLUSTER, "namespace": namespace},
        "syncPolicy": {
            "automated": {"prune": False, "selfHeal": True},
            "retry": {"limit": 10, "backoff": {"duration": "15s", "factor": 2, "maxDuration": "3m"}},
            "syncOptions": ["CreateNamespace=true", "ServerSideApply=true", "SkipDryRunOnMissingResource=true"],
        },
    }
    made = make_object("argoproj.io/v1alpha1", "Application", name, "argocd", spec=spec)
    wave = {"argocd.argoproj.io/sync-wave": _WAVES[stage]}
    return {**made, "metadata": {"name": name, "namespace": "argocd", "annotations": wave}}


def _plain_address(repository: str) -> str:
    """Argo CD names the registry of an OCI chart without its scheme."""
    return repository.removeprefix("oci://")
