"""What Argo CD calls healthy, and m2g's check for versions whose own is wrong."""

from __future__ import annotations

import contextlib
import functools
import json
from pathlib import Path

import pytest

from tests.cluster.conftest import Note
from tests.support.apiserver.server import NotReady
from tests.support.cluster import kserve
from tests.support.cluster.argocd import ArgoCd
from tests.support.cluster.argocd_fleet import installed
from tests.support.cluster.kubernetes import wait
from tests.support.cluster.scene import Scene
from tests.support.gitea import Gitea

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

READY, FAILED = {"type": "Ready", "status": "True"}, {"type": "Ready", "status": "False"}
LOADING = {"type": "Ready", "status": "Unknown"}
STOPPED, RUNS = {"type": "Stopped", "status": "True"}, {"type": "Stopped", "status": "False"}
STATUSES = {
    "ready": ([READY], "UpToDate", "Healthy"),
    "ready and not stopped": ([READY, RUNS], "UpToDate", "Healthy"),
    "loading": ([LOADING], "InProgress", "Progressing"),
    "failed": ([FAILED], "BlockedByFailedLoad", "Degraded"),
    "stopped": ([FAILED, STOPPED], "UpToDate", "Suspended"),
}
"""What KServe writes → what Argo CD must show. Each with the observedGeneration of another object (kserve#6081)."""


def shows(engine: ArgoCd, verdict: str) -> bool:
    """Whether Argo CD shows this health of wine."""
    return engine.state("wine.dev.here")[1] == verdict


def test_the_health_patch_keeps_argo_cds_configuration(
    forge: Gitea, engine: ArgoCd, tmp_path: Path, note: Note
) -> None:
    """The documented command, on a ConfigMap that `kubectl apply` made."""
    scene = Scene(forge, tmp_path, "sync=argocd")
    path = "/api/v1/namespaces/argocd/configmaps/argocd-cm"
    before = engine.cluster.get(path)
    assert before is not None
    patch = scene.root / "platform/argocd/_health.patch"
    command = patch.read_text().split("#   kubectl ")[1].splitlines()[0].split()
    assert command[-1] == "platform/argocd/_health.patch"
    engine.cluster.kubectl(*command[:-1], patch)
    after = engine.cluster.get(path)
    assert after is not None
    key = "resource.customizations.health.serving.kserve.io_InferenceService"
    assert after["data"].pop(key).startswith("-- This ignores observedGeneration")
    assert after["data"] == before["data"]
    assert after["metadata"]["labels"] == before["metadata"]["labels"]
    refused = engine.cluster.kubectl("apply", "-f", patch, code=1)
    assert "apiVersion" in refused, "nobody can apply it by mistake"
    reset = json.dumps({"data": {key: None}})
    engine.cluster.kubectl("-n", "argocd", "patch", "configmap", "argocd-cm", "--type=merge", "-p", reset)
    note("the health check is added to argocd-cm, and its other keys and labels stay")


@pytest.mark.parametrize("whose", ["Argo CD's own", "m2g's"])
def test_health_is_what_kserve_says(forge: Gitea, engine: ArgoCd, tmp_path: Path, note: Note, whose: str) -> None:
    scene = installed(forge, engine, tmp_path)
    namespace = scene.namespace("dev")
    if whose == "m2g's":
        patch = scene.root / "platform/argocd/_health.patch"
        engine.cluster.kubectl("-n", "argocd", "patch", "configmap", "argocd-cm", "--type=merge", "--patch-file", patch)
    shown = {}
    for number, (name, (conditions, transition, verdict)) in enumerate(STATUSES.items()):
        status = {
            "observedGeneration": 90 + number,
            "conditions": [{**one, "lastTransitionTime": "2026-01-01T00:00:00Z"} for one in conditions],
            "modelStatus": {
                "transitionStatus": transition,
                "copies": {"failedCopies": 0},
                "states": {"activeModelState": "", "targetModelState": ""},
            },
        }
        kserve.tell(engine.cluster, namespace, "wine", status)
        with contextlib.suppress(NotReady):  # all verdicts are compared at once below
            wait(functools.partial(shows, engine, verdict), name, 30)
        shown[name] = engine.state("wine.dev.here")[1]
    assert shown == {name: verdict for name, (_, _, verdict) in STATUSES.items()}
    if whose == "m2g's":
        reset = '{"data": {"resource.customizations.health.serving.kserve.io_InferenceService": null}}'
        engine.cluster.kubectl("-n", "argocd", "patch", "configmap", "argocd-cm", "--type=merge", "-p", reset)
    note(f"health of an InferenceService, judged by {whose} check: {', '.join(STATUSES)}")
