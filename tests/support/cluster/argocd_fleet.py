"""A fleet that Argo CD deploys: the repository's README, followed."""

from __future__ import annotations

from pathlib import Path

from tests.support.cluster.argocd import ArgoCd
from tests.support.cluster.kubernetes import Cluster, wait
from tests.support.cluster.scene import Scene
from tests.support.gitea import Gitea
from tests.support.machine import whole_seconds

SLUGS = {"dev": ("churn", "fraud", "wine"), "prod": ("churn", "wine")}
"""The models of a scene by environment."""
NAMES = [f"{slug}.dev.here" for slug in SLUGS["dev"]]


def clear(engine: ArgoCd) -> None:
    """Remove all ApplicationSets and Applications, and keep what they applied."""
    engine.cluster.kubectl("-n", "argocd", "delete", "applicationsets", "--all", f"--timeout={whole_seconds(60)}s")
    engine.cluster.kubectl("-n", "argocd", "delete", "applications", "--all", f"--timeout={whole_seconds(60)}s")
    unlabel = ["environment.m2g.dev/dev-", "environment.m2g.dev/prod-"]
    engine.cluster.kubectl("-n", "argocd", "label", "secret", "cluster-here", *unlabel)


def install(scene: Scene, cluster: Cluster, environment: str = "dev") -> None:
    """The commands of the repository's README."""
    cluster.kubectl("apply", "-f", scene.root / f"platform/namespaces/{environment}.yaml")
    cluster.kubectl("apply", "-f", scene.root / f"platform/argocd/{environment}.yaml")
    label(cluster, environment)


def label(cluster: Cluster, environment: str) -> None:
    """Let the cluster have the models of an environment."""
    text = f"environment.m2g.dev/{environment}=true"
    cluster.kubectl("-n", "argocd", "label", "--overwrite", "secret", "cluster-here", text)


def prepared(forge: Gitea, engine: ArgoCd, folder: Path, *answers: str) -> Scene:
    """A rendered repository of which nothing is pushed. Argo CD is told of pushes."""
    scene = Scene(forge, folder, "sync=argocd", *answers)
    for url in engine.hooks:
        scene.repository.hook(url)
    scene.render()
    return scene


def installed(forge: Gitea, engine: ArgoCd, folder: Path, *answers: str, environment: str = "dev") -> Scene:
    """A fleet that is in sync in an environment."""
    scene = prepared(forge, engine, folder, *answers)
    commit = scene.push()
    install(scene, engine.cluster, environment)
    settle(engine, commit, environment)
    return scene


def settle(engine: ArgoCd, commit: str, environment: str = "dev") -> None:
    """Wait until all Applications of an environment are in sync with a commit."""
    names = [f"{slug}.{environment}.here" for slug in SLUGS[environment]]
    wait(lambda: engine.names() == names, "the Applications", 120)
    wait(lambda: all(engine.synced(name, commit) for name in names), "all to be in sync", 180)
