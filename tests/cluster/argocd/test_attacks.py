"""Hostile changes, merged by force: what Argo CD and the project do about them."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.cluster.conftest import Note
from tests.support.cluster import hostile, kserve
from tests.support.cluster.argocd import ArgoCd
from tests.support.cluster.argocd_fleet import NAMES, installed
from tests.support.cluster.kubernetes import wait
from tests.support.cluster.scene import Scene
from tests.support.gitea import Gitea

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

_BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"


def refused(scene: Scene, engine: ArgoCd, name: str) -> str:
    """Push what changed, and wait until Argo CD refuses it; all that its status says."""
    commit = scene.force()

    def failed() -> bool:
        operation = engine.find(name)["status"].get("operationState", {})
        tried = operation.get("syncResult", {}).get("revision") == commit
        return tried and operation.get("phase") in ("Failed", "Error", "Running") and "not permitted" in shown()

    def shown() -> str:
        return json.dumps(engine.find(name)["status"])

    wait(failed, "a refusal", 120)
    return shown()


def test_files_in_other_folders_are_not_read(forge: Gitea, engine: ArgoCd, tmp_path: Path, note: Note) -> None:
    scene = installed(forge, engine, tmp_path)
    binding = f"{scene.prefix}-zz"
    scene.write("fleet/dev/zz.yaml", hostile.binding(binding, scene.namespace("dev")))
    for folder in ("models/stray", "platform/argocd"):
        scene.write(f"{folder}/kustomization.yaml", "resources: [pod.yaml]\n")
        scene.write(f"{folder}/pod.yaml", hostile.POD)
    scene.move("wine", challenger="3")
    scene.render()
    scene.force()
    wait(lambda: kserve.version(engine.cluster, scene.namespace("dev"), "wine") == "3", "the commit", 120)
    engine.generate(f"{scene.prefix}-dev")
    assert engine.names() == NAMES
    assert engine.cluster.names("/api/v1/pods") == []
    assert engine.cluster.get(f"{_BINDINGS}/{binding}") is None
    note(
        "a pod in a folder without a record and in platform/, a binding in fleet/, merged by force: nothing reads them"
    )


def test_an_app_json_cannot_name_another_namespace(forge: Gitea, engine: ArgoCd, tmp_path: Path, note: Note) -> None:
    scene = installed(forge, engine, tmp_path)
    file = "models/wine/overlays/dev/app.json"
    app = json.loads((scene.root / file).read_text())
    scene.write(file, json.dumps({**app, "namespace": "kube-system"}))
    scene.force()

    def shown() -> str:
        return json.dumps(engine.find("wine.dev.here")["status"].get("conditions", []))

    wait(lambda: "InvalidSpecError" in shown(), "a refusal", 120)
    assert "kube-system" in shown()
    assert kserve.generations(engine.cluster, "kube-system") == {}
    assert kserve.version(engine.cluster, scene.namespace("dev"), "wine") == "2", "what runs stays"
    note("an app.json that names another namespace, merged by force: the project refuses it, and what runs stays")


def test_a_component_with_power_over_the_host_is_refused(
    forge: Gitea, engine: ArgoCd, tmp_path: Path, note: Note
) -> None:
    scene = installed(forge, engine, tmp_path, environment="prod")
    namespace = scene.namespace("prod")
    before = kserve.generations(engine.cluster, namespace)
    binding = f"{scene.prefix}-zz"
    scene.add("wine", "prod", deployment=hostile.PRIVILEGED, binding=hostile.binding(binding, namespace))
    refused(scene, engine, "wine.prod.here")
    time.sleep(5)
    assert engine.cluster.get(f"{_BINDINGS}/{binding}") is None
    assert engine.cluster.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/stray") is None
    assert kserve.generations(engine.cluster, namespace) == before
    note("a component with a privileged Deployment and a cluster-admin binding, merged by force, is refused in prod")


@pytest.mark.parametrize("kind", ["ClusterRole", "Secret", "Deployment", "Pod"])
def test_a_component_outside_of_the_bounds_is_refused(
    forge: Gitea, engine: ArgoCd, tmp_path: Path, note: Note, kind: str
) -> None:
    scene = installed(forge, engine, tmp_path)
    namespace, role = scene.namespace("dev"), f"{scene.prefix}-zz"
    text, path = {
        "ClusterRole": (hostile.role(role), f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{role}"),
        "Secret": (hostile.SECRET, f"/api/v1/namespaces/{namespace}/secrets/stray"),
        "Deployment": (hostile.PRIVILEGED, f"/apis/apps/v1/namespaces/{namespace}/deployments/stray"),
        "Pod": (hostile.POD, f"/api/v1/namespaces/{namespace}/pods/stray"),
    }[kind]
    scene.add("wine", "dev", stray=text)
    assert kind in refused(scene, engine, "wine.dev.here")
    time.sleep(5)
    assert engine.cluster.get(path) is None
    assert kserve.version(engine.cluster, namespace, "wine") == "2", "what runs stays"
    note(f"a component with a {kind}, merged by force, is refused, and what runs stays")


def test_an_overlay_cannot_write_to_another_namespace(forge: Gitea, engine: ArgoCd, tmp_path: Path, note: Note) -> None:
    scene = installed(forge, engine, tmp_path)
    other = f"{scene.prefix}-other"
    engine.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": other}})
    scene.write("models/wine/overlays/dev/stray.yaml", hostile.elsewhere(other))
    scene.write("models/wine/overlays/dev/kustomization.yaml", hostile.OVERLAY.format(files="stray.yaml"))
    assert other in refused(scene, engine, "wine.dev.here")
    time.sleep(5)
    assert engine.cluster.get(f"/api/v1/namespaces/{other}/configmaps/stray") is None
    assert kserve.version(engine.cluster, scene.namespace("dev"), "wine") == "2", "what runs stays"
    note("an overlay that writes to another namespace, merged by force, is refused, and what runs stays")
