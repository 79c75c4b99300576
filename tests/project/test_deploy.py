"""The Kustomize bases of deploy/: built by the real kustomize, checked by m2g, one credential a container."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import ryaml

from tests.support.command_line import M2G
from tests.support.deploy import FORMS, build, list_containers, write_overlay


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def objects(form: str, tmp_path: Path, kustomize: Path) -> list[dict[str, Any]]:
    return build(write_overlay(tmp_path, form), kustomize)


def find(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = [one for one in objects if one["kind"] == kind]
    return found


def test_m2g_finds_nothing_wrong(objects: list[dict[str, Any]]) -> None:
    text = "---\n".join(map(ryaml.dumps, objects))
    done = subprocess.run([*M2G, "validate", "-"], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "valid" in done.stdout


def test_all_is_in_its_namespace_and_nothing_outlives_it(objects: list[dict[str, Any]], form: str) -> None:
    names = {(one["kind"], one["metadata"]["name"].split("-")[0]) for one in objects}
    own = {("Deployment", "m2g"), ("Service", "m2g")} if form == "serve" else {("CronJob", "m2g")}
    shared = {"Namespace", "ServiceAccount", "NetworkPolicy", "ConfigMap"}
    assert names == own | {(kind, "m2g") for kind in shared}
    assert {one["metadata"].get("namespace", "m2g") for one in objects} == {"m2g"}
    assert find(objects, "Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert find(objects, "ServiceAccount")["automountServiceAccountToken"] is False


def test_every_container_is_closed(objects: list[dict[str, Any]]) -> None:
    pod, containers = list_containers(objects)
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["automountServiceAccountToken"] is False
    assert all("emptyDir" in volume for volume in pod["volumes"])
    for one in containers:
        assert one["image"].startswith("registry.example.com/m2g@sha256:")
        assert one["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert one["resources"]["limits"]["memory"]


def test_the_network_policy_selects_the_pods(objects: list[dict[str, Any]], form: str) -> None:
    wanted = find(objects, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"]
    work = find(objects, "Deployment" if form == "serve" else "CronJob")["spec"]
    template = work["template"] if form == "serve" else work["jobTemplate"]["spec"]["template"]
    assert wanted.items() <= template["metadata"]["labels"].items()
    if form == "serve":
        service = find(objects, "Service")["spec"]["selector"]
        assert service.items() <= template["metadata"]["labels"].items()


def test_the_split_form_gives_no_container_both_credentials(tmp_path: Path, kustomize: Path) -> None:
    _, containers = list_containers(build(write_overlay(tmp_path, "split"), kustomize))
    held = {
        one["name"]: {source["secretRef"]["name"] for source in one["envFrom"] if "secretRef" in source}
        for one in containers
    }
    assert held == {"clone": {"m2g-forge"}, "resolve": {"m2g-registry"}, "propose": {"m2g-forge"}}
    resolve = next(one for one in containers if one["name"] == "resolve")
    assert {mount["name"] for mount in resolve["volumeMounts"] if mount.get("readOnly")} == {"clone"}
    propose = next(one for one in containers if one["name"] == "propose")
    assert {mount["name"] for mount in propose["volumeMounts"]} == {"snapshot", "propose"}
