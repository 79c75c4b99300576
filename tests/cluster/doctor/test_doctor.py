"""`m2g doctor --cluster` on a real API server: each thing that is missing is found, and the printed step repairs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from m2g.repository.edit import edit_file
from m2g.repository.yaml_edit import Set
from tests.support.cluster.assets import ASSETS
from tests.support.cluster.kubernetes import Cluster, control_plane
from tests.support.machine import seconds
from tests.support.scaffolded import scaffold

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

ENVIRONMENTS = ("day", "night")


@pytest.fixture
def empty() -> Iterator[Cluster]:
    """A cluster with the CRDs of KServe, Flux and Argo CD, and with nothing that runs."""
    with control_plane() as cluster:
        yield cluster


class Doctor:
    """A repository for both engines, and a cluster."""

    def __init__(self, root: Path, cluster: Cluster) -> None:
        self.root = root
        self.environment = os.environ | {
            "KUBECONFIG": str(cluster.kubeconfig),
            "PATH": f"{ASSETS / 'bin'}{os.pathsep}{os.environ['PATH']}",
        }

    def ask(self, *names: str) -> dict[str, dict[str, str]]:
        """Name and message of everything that is not well → the check."""
        options = [word for name in names for word in ("--env", name)]
        command = [sys.executable, "-m", "m2g", "doctor", "--cluster", "--format", "json", *options]
        done = self.run(*command)
        checks = json.loads(done.stdout)["checks"]
        assert done.returncode == int(any(check["state"] == "problem" for check in checks)), done.stderr
        return {f"{one['name']}: {one['message']}": one for one in checks if one["state"] != "ok"}

    def follow(self, step: str) -> None:
        """Do what a step says, in a shell as a person would."""
        done = self.run("sh", "-ec", step)
        assert done.returncode == 0, f"{step}\n{done.stderr}"

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.root, env=self.environment, capture_output=True, text=True, check=False,
            timeout=seconds(120),
        )  # fmt: skip


def workload(kind: str, namespace: str, name: str, image: str, *args: str, **labels: str) -> dict[str, Any]:
    pod = {"containers": [{"name": "manager", "image": image, "args": list(args)}]}
    spec: dict[str, Any] = {
        "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
    }
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    more = {"serviceName": name} if kind == "StatefulSet" else {}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": {**spec, **more}}


def namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def find(checks: dict[str, dict[str, str]], words: str) -> str:
    """The step of the one check with these words."""
    (key,) = [key for key in checks if words in key]
    return checks[key]["step"]


def test_each_step_repairs_what_is_missing(empty: Cluster, tmp_path: Path) -> None:
    root = scaffold(tmp_path / "models", "sync=both", f"environments={', '.join(ENVIRONMENTS)}")
    doctor = Doctor(root, empty)
    checks = doctor.ask()
    assert checks["KServe: its controller is not found, so its version is unknown"]["state"] == "warning"
    for name in ENVIRONMENTS:
        doctor.follow(find(checks, f"{name}: namespace: ").partition(" (")[0])
    assert not [key for key in doctor.ask() if "namespace:" in key]

    # Flux, as its own installation starts it
    assert find(checks, "Flux: is not installed").startswith("install it: flux install")
    flux = workload("Deployment", "flux-system", "kustomize-controller", "ghcr.io/fluxcd/kustomize-controller:v1.9.6")
    flux["spec"]["template"]["spec"]["containers"][0]["args"] = ["--watch-all-namespaces", "--concurrent=4"]
    empty.apply(namespace("flux-system"), flux)
    checks = doctor.ask()
    for words in ("--concurrent=20 is not set", "CancelHealthCheckOnNewRevision=true is not set"):
        doctor.follow(find(checks, words))
    for name in ENVIRONMENTS:
        doctor.follow(find(checks, f"fleet-{name} is not applied"))
    assert not [key for key in doctor.ask() if "Flux" in key or "fleet-" in key]
    empty.kubectl(
        "-n", "flux-system", "patch", "kustomization", "fleet-day", "--type=json",
        "-p", '[{"op": "remove", "path": "/spec/serviceAccountName"}]',
    )  # fmt: skip
    step = find(doctor.ask(), "fleet-day names no ServiceAccount")
    doctor.follow(step.removeprefix("copier update, then: "))
    assert not [key for key in doctor.ask() if "fleet-day" in key]
    empty.kubectl("delete", "validatingadmissionpolicies", "--selector=m2g.dev/environment=day")
    step = find(doctor.ask(), "fleet-day may write the Kustomizations of others")
    doctor.follow(step.removeprefix("copier update, then: "))
    assert not [key for key in doctor.ask() if "fleet-day" in key]

    # KServe in another version than m2g.yaml says
    image = "kserve/kserve-controller:v0.19.0"
    labels = {"control-plane": "kserve-controller-manager"}
    empty.apply(namespace("kserve"), workload("Deployment", "kserve", "kserve-controller-manager", image, **labels))
    checks = doctor.ask()
    for name in ENVIRONMENTS:
        words = "{version: '0.19'}"
        assert f"environments: {{{name}: {{kserve: {words}}}}}" in find(checks, f"{name}: KServe: the cluster has 0.19")
        edit_file(root, "m2g.yaml", [Set(path=("environments", name, "kserve"), value={"version": "0.19"})])
    assert doctor.ask() == {}

    # and Argo CD beside it
    empty.apply(
        namespace("argocd"),
        workload("StatefulSet", "argocd", "argocd-application-controller", "quay.io/argoproj/argocd:v3.1.4"),
    )
    doctor.follow("kubectl apply -f platform/argocd/day.yaml")
    checks = doctor.ask("day")
    assert find(checks, "Argo CD: is 3.1; the scaffold needs 3.2").startswith("upgrade it")
    secret = {
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "here", "namespace": "argocd", "labels": {"argocd.argoproj.io/secret-type": "cluster"}},
    }  # fmt: skip
    empty.apply(secret)
    doctor.follow(find(checks, "no cluster has the label").replace("SECRET_OF_THE_CLUSTER", "here"))
    empty.kubectl(
        "-n", "argocd", "set", "image", "statefulset/argocd-application-controller",
        "manager=quay.io/argoproj/argocd:v3.2.11@sha256:" + "0" * 64,
    )  # fmt: skip
    checks = doctor.ask("day")
    assert list(checks) == [
        "day: one engine: Argo CD and Flux both deploy it to this cluster, and each undoes the other's work"
    ]
    doctor.follow(find(checks, "one engine").partition("while the models stay: ")[2])
    (name,) = empty.names("/apis/argoproj.io/v1alpha1/namespaces/argocd/applicationsets")
    no_finalizers = '{"metadata": {"finalizers": null}}'  # what Argo CD's controller does, which does not run here
    empty.kubectl("-n", "argocd", "patch", "applicationset", name, "--type=merge", "-p", no_finalizers)
    assert doctor.ask("day") == {}


def test_a_cluster_that_does_not_answer_is_named(tmp_path: Path, empty: Cluster) -> None:
    doctor = Doctor(scaffold(tmp_path / "models"), empty)
    done = doctor.run(sys.executable, "-m", "m2g", "doctor", "--cluster", "--context", "nowhere")
    assert done.returncode == 3
    assert "the cluster does not answer" in done.stderr
    assert "nowhere" in done.stderr
