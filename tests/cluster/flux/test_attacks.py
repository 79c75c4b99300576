"""Hostile changes, merged by force: what Flux and the bounds of the platform files do about them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.cluster.conftest import Note
from tests.support.cluster import hostile, kserve
from tests.support.cluster.flux import Flux
from tests.support.cluster.flux_fleet import install, installed, settle
from tests.support.cluster.kubernetes import Cluster, wait
from tests.support.cluster.scene import Scene
from tests.support.gitea import Gitea

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

_BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
_ROLES = "/apis/rbac.authorization.k8s.io/v1/clusterroles"


def refused(scene: Scene, engine: Flux, name: str) -> str:
    """Push what changed, and wait until Flux refuses it; its message."""
    commit = scene.force()
    engine.fetch()
    wait(lambda: engine.attempted(name, commit) and engine.ready(name)[0] == "False", "a refusal", 120)
    message = engine.ready(name)[1]
    assert "forbidden" in message
    return message


def test_files_in_other_folders_are_not_read(
    forge: Gitea, plane: Cluster, engine: Flux, tmp_path: Path, note: Note
) -> None:
    scene = installed(forge, plane, engine, tmp_path)
    for folder in ("models/wine/notes/overlays/dev", "models/stray", "platform/flux"):
        scene.write(f"{folder}/kustomization.yaml", "resources: [pod.yaml]\n")
        scene.write(f"{folder}/pod.yaml", hostile.POD)
    commit = scene.force()
    engine.fetch()
    wait(lambda: engine.healthy("fleet-dev", commit) and engine.healthy("wine.dev", commit), "the commit", 120)
    assert plane.names("/api/v1/pods") == []
    assert engine.names() == ["churn.dev", "fleet-dev", "fraud.dev", "wine.dev"]
    note("a pod in notes/, in a folder without a record and in platform/, merged by force: nothing reads them")


def test_a_stray_binding_in_the_fleet_is_refused(
    forge: Gitea, plane: Cluster, engine: Flux, tmp_path: Path, note: Note
) -> None:
    scene = installed(forge, plane, engine, tmp_path)
    binding = f"{scene.prefix}-zz"
    scene.write("fleet/dev/zz.yaml", hostile.binding(binding, scene.namespace("dev")))
    assert "clusterrolebindings" in refused(scene, engine, "fleet-dev")
    assert plane.get(f"{_BINDINGS}/{binding}") is None
    note("a cluster-admin binding in fleet/, merged by force, is refused, and the parent says so")


def test_a_stray_source_in_the_fleet_is_refused(
    forge: Gitea, plane: Cluster, engine: Flux, tmp_path: Path, note: Note
) -> None:
    scene = installed(forge, plane, engine, tmp_path)
    scene.write("fleet/dev/zz.yaml", hostile.SOURCE)
    assert "gitrepositories" in refused(scene, engine, "fleet-dev")
    sources = "/apis/source.toolkit.fluxcd.io/v1/namespaces/flux-system/gitrepositories"
    assert plane.names(sources) == ["models"]
    note("a GitRepository of somebody else in fleet/, merged by force, is refused")


def test_a_stray_kustomization_has_the_rights_of_a_model(
    forge: Gitea, plane: Cluster, engine: Flux, tmp_path: Path, note: Note
) -> None:
    """It names no account, so Flux would apply with its own rights."""
    scene = installed(forge, plane, engine, tmp_path)
    binding = f"{scene.prefix}-zz"
    scene.write("models/zz/binding.yaml", hostile.binding(binding, scene.namespace("dev")))
    scene.write("fleet/dev/zz.yaml", hostile.child("./models/zz"))
    assert "fleet-dev-models" in refused(scene, engine, "zz.dev")
    assert plane.get(f"{_BINDINGS}/{binding}") is None
    note("a Kustomization in fleet/ without an account gets the rights of a model, so its binding is refused")


def test_a_kustomization_of_dev_cannot_reach_prod(
    forge: Gitea, plane: Cluster, engine: Flux, tmp_path: Path, note: Note
) -> None:
    scene = installed(forge, plane, engine, tmp_path)
    plane.kubectl("apply", "-f", scene.root / "fleet/prod/namespace/namespace.yaml")
    scene.write("fleet/dev/zz.yaml", hostile.child("./models/wine/overlays/prod"))
    assert scene.namespace("prod") in refused(scene, engine, "zz.dev")
    assert kserve.generations(plane, scene.namespace("prod")) == {}
    note("a Kustomization in fleet/dev/ that is aimed at prod, merged by force, is refused")


@pytest.mark.parametrize("name", ["wine.prod", "fleet-prod", "platform"])
def test_a_file_of_dev_cannot_take_the_kustomization_of_somebody_else(
    forge: Gitea, plane: Cluster, engine: Flux, tmp_path: Path, note: Note, name: str
) -> None:
    """All environments of a cluster, and often the platform's own, have their Kustomizations in one namespace."""
    scene = installed(forge, plane, engine, tmp_path)
    install(scene, plane, "prod")
    settle(scene, plane, engine, scene.push(), "prod")
    scene.write("platform.yaml", hostile.child("./models/wine/overlays/prod", "platform"))
    plane.kubectl("apply", "-f", scene.root / "platform.yaml")
    scene.remove("platform.yaml")
    before = engine.spec(name)
    scene.write("models/zz/kustomization.yaml", "resources: []\n")
    scene.write("fleet/dev/zz.yaml", hostile.child("./models/zz", name))
    assert "fleet/dev may only have Kustomizations called <slug>.dev" in refused(scene, engine, "fleet-dev")
    assert engine.spec(name) == before
    others = {"wine.prod": "the model of another environment", "fleet-prod": "another environment"}
    note(f"a Kustomization in fleet/dev/ that replaces that of {others.get(name, 'another team')} is refused")


def test_a_component_with_power_over_the_host_is_refused(
    forge: Gitea, plane: Cluster, engine: Flux, tmp_path: Path, note: Note
) -> None:
    scene = installed(forge, plane, engine, tmp_path, environment="prod")
    namespace = scene.namespace("prod")
    before = kserve.generations(plane, namespace)
    binding = f"{scene.prefix}-zz"
    scene.add("wine", "prod", deployment=hostile.PRIVILEGED, binding=hostile.binding(binding, namespace))
    refused(scene, engine, "wine.prod")
    assert plane.get(f"{_BINDINGS}/{binding}") is None
    assert plane.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/stray") is None
    assert kserve.generations(plane, namespace) == before
    note("a component with a privileged Deployment and a cluster-admin binding, merged by force, is refused in prod")


@pytest.mark.parametrize("kind", ["ClusterRole", "Secret", "Deployment", "Pod"])
def test_a_component_outside_of_the_bounds_is_refused(
    forge: Gitea, plane: Cluster, engine: Flux, tmp_path: Path, note: Note, kind: str
) -> None:
    scene = installed(forge, plane, engine, tmp_path)
    namespace, role = scene.namespace("dev"), f"{scene.prefix}-zz"
    text, path = {
        "ClusterRole": (hostile.role(role), f"{_ROLES}/{role}"),
        "Secret": (hostile.SECRET, f"/api/v1/namespaces/{namespace}/secrets/stray"),
        "Deployment": (hostile.PRIVILEGED, f"/apis/apps/v1/namespaces/{namespace}/deployments/stray"),
        "Pod": (hostile.POD, f"/api/v1/namespaces/{namespace}/pods/stray"),
    }[kind]
    scene.add("wine", "dev", stray=text)
    refused(scene, engine, "wine.dev")
    assert plane.get(path) is None
    assert kserve.version(plane, namespace, "wine") == "2", "what runs stays"
    note(f"a component with a {kind}, merged by force, is refused, and what runs stays")


def test_an_overlay_cannot_write_to_another_namespace(
    forge: Gitea, plane: Cluster, engine: Flux, tmp_path: Path, note: Note
) -> None:
    scene = installed(forge, plane, engine, tmp_path)
    other = f"{scene.prefix}-other"
    plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": other}})
    scene.write("models/wine/overlays/dev/stray.yaml", hostile.elsewhere(other))
    scene.write("models/wine/overlays/dev/kustomization.yaml", hostile.OVERLAY.format(files="stray.yaml"))
    assert other in refused(scene, engine, "wine.dev")
    time.sleep(2)
    assert plane.get(f"/api/v1/namespaces/{other}/configmaps/stray") is None
    assert kserve.version(plane, scene.namespace("dev"), "wine") == "2", "what runs stays"
    note("an overlay that writes to another namespace, merged by force, is refused, and what runs stays")
