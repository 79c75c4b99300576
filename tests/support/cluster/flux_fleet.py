"""A fleet that Flux deploys: the repository's README, followed, and models that KServe makes ready."""

from __future__ import annotations

from pathlib import Path

from tests.support.cluster import kserve
from tests.support.cluster.flux import Flux
from tests.support.cluster.kubernetes import Cluster, wait
from tests.support.cluster.scene import Scene
from tests.support.gitea import Gitea

SLUGS = {"dev": ("churn", "fraud", "wine"), "prod": ("churn", "wine")}
"""The models of a scene by environment."""


def install(scene: Scene, cluster: Cluster, environment: str = "dev") -> None:
    """The commands of the repository's README."""
    files = (
        f"fleet/{environment}/namespace/namespace.yaml",
        "platform/flux/_source.yaml",
        f"platform/flux/{environment}.yaml",
    )
    cluster.kubectl("apply", *(one for file in files for one in ("-f", scene.root / file)))


def installed(
    forge: Gitea, cluster: Cluster, engine: Flux, folder: Path, *answers: str, environment: str = "dev"
) -> Scene:
    """A fleet whose models are all applied and ready in an environment."""
    scene = Scene(forge, folder, "sync=flux", *answers)
    scene.render()
    commit = scene.push()
    install(scene, cluster, environment)
    settle(scene, cluster, engine, commit, environment)
    return scene


def settle(scene: Scene, cluster: Cluster, engine: Flux, commit: str, environment: str = "dev") -> None:
    """Let KServe make all models of an environment ready, and wait until Flux has seen that."""
    wait(lambda: engine.healthy(f"fleet-{environment}", commit), "the fleet to be applied", 120)
    for slug in SLUGS[environment]:
        serve(scene, cluster, slug, environment)
    wait(lambda: all(engine.healthy(name, commit) for name in names(environment)), "all models to be ready", 120)


def names(environment: str = "dev") -> list[str]:
    """The Kustomizations of an environment's models."""
    return [f"{slug}.{environment}" for slug in SLUGS[environment]]


def serve(scene: Scene, cluster: Cluster, slug: str, environment: str = "dev") -> None:
    """KServe rolls out what the InferenceService says, and it becomes ready."""
    namespace = scene.namespace(environment)
    wait(lambda: kserve.version(cluster, namespace, slug), f"the service {slug}", 120)
    kserve.roll_out(cluster, namespace, slug)
    kserve.report(cluster, namespace, slug, ready=True)
