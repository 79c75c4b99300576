"""When Flux calls a model ready, late, failed or stopped, and how long one model holds up another."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.cluster.conftest import Note
from tests.support.cluster import kserve
from tests.support.cluster.flux import Flux, flux
from tests.support.cluster.flux_fleet import install, installed
from tests.support.cluster.kubernetes import Cluster, wait
from tests.support.cluster.scene import Scene
from tests.support.fleet import model
from tests.support.gitea import Gitea
from tests.support.machine import seconds

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

STOP = """\
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
patches:
  - target: {kind: InferenceService}
    patch: |
      - op: add
        path: /metadata/annotations/serving.kserve.io~1stop
        value: "true"
"""
SUSPEND = '{"spec": {"suspend": true}}'
FLAGS = ("--concurrent=20", "--feature-gates=CancelHealthCheckOnNewRevision=true")


def limit(scene: Scene, timeout: str) -> None:
    """Set `sync.flux.timeout`."""
    config = (scene.root / "m2g.yaml").read_text()
    assert config.count("    namespace: flux-system") == 1
    text = f"    namespace: flux-system\n    timeout: {timeout}"
    scene.write("m2g.yaml", config.replace("    namespace: flux-system", text))


def test_health_waits_for_the_new_version(
    forge: Gitea, plane: Cluster, engine: Flux, tmp_path: Path, note: Note
) -> None:
    """The Deployment of the old version is still ready, and KServe has not changed it yet."""
    scene = installed(forge, plane, engine, tmp_path)
    namespace = scene.namespace("dev")
    scene.move("wine", challenger="3")
    scene.render()
    commit = scene.push()
    engine.fetch()
    wait(lambda: kserve.version(plane, namespace, "wine") == "3", "version 3", 120)
    time.sleep(5)
    assert engine.ready("wine.dev")[0] == "Unknown", "nothing has rolled out"
    assert not engine.healthy("wine.dev", commit)
    kserve.roll_out(plane, namespace, "wine")
    kserve.report(plane, namespace, "wine", ready=False)
    time.sleep(5)
    assert engine.ready("wine.dev")[0] == "Unknown", "its pods are not ready"
    kserve.report(plane, namespace, "wine", ready=True)
    begun = time.monotonic()
    wait(lambda: engine.healthy("wine.dev", commit), "version 3 to be ready", 120)
    note("a version is healthy when its own pods are ready, not while those of the old one are",
         seconds_after_ready=time.monotonic() - begun)  # fmt: skip


def test_a_version_that_fails_is_reported(
    forge: Gitea, plane: Cluster, engine: Flux, tmp_path: Path, note: Note
) -> None:
    scene = installed(forge, plane, engine, tmp_path)
    namespace = scene.namespace("dev")
    scene.move("wine", challenger="3")
    scene.render()
    scene.push()
    engine.fetch()
    wait(lambda: kserve.version(plane, namespace, "wine") == "3", "version 3", 120)
    kserve.roll_out(plane, namespace, "wine")
    begun = time.monotonic()
    kserve.report(plane, namespace, "wine", ready=False, failed=True)
    wait(lambda: engine.ready("wine.dev")[0] == "False", "a failure", 120)
    took = time.monotonic() - begun
    assert "wine-predictor" in engine.ready("wine.dev")[1]
    note("a Deployment past its deadline is reported with its name", seconds=took)


def test_a_version_that_loads_too_long_is_reported(
    forge: Gitea, plane: Cluster, engine: Flux, tmp_path: Path, note: Note
) -> None:
    scene = installed(forge, plane, engine, tmp_path)
    namespace = scene.namespace("dev")
    limit(scene, "20s")
    scene.move("wine", challenger="3")
    scene.render()
    scene.push()
    engine.fetch()
    wait(lambda: kserve.version(plane, namespace, "wine") == "3", "version 3", 120)
    kserve.roll_out(plane, namespace, "wine")
    kserve.report(plane, namespace, "wine", ready=False)
    wait(lambda: engine.ready("wine.dev")[0] == "False", "the timeout", 120)
    message = engine.ready("wine.dev")[1]
    assert message.startswith("HealthCheckFailed: ")
    assert "wine-predictor" in message
    note("a version that is not ready within sync.flux.timeout is reported with the name of its Deployment")


def stopped(cluster: Cluster, namespace: str, slug: str) -> bool:
    """Whether an InferenceService has the annotation with which KServe stops it."""
    served = cluster.get(kserve.service(namespace, slug))
    assert served is not None
    return str(served["metadata"]["annotations"].get("serving.kserve.io/stop")) == "true"


def test_a_model_stopped_in_git_is_reported_after_the_timeout(
    forge: Gitea, plane: Cluster, engine: Flux, tmp_path: Path, note: Note
) -> None:
    """KServe deletes the Deployment of a service with the annotation serving.kserve.io/stop."""
    scene = installed(forge, plane, engine, tmp_path)
    namespace = scene.namespace("dev")
    limit(scene, "20s")
    scene.write("models/wine/custom/dev/kustomization.yaml", STOP)
    scene.render()
    commit = scene.push()
    engine.fetch()
    wait(lambda: stopped(plane, namespace, "wine"), "the annotation", 120)
    plane.kubectl("-n", namespace, "delete", "deployment", "wine-predictor", "--timeout=60s")
    engine.reconcile("wine.dev")
    wait(lambda: engine.attempted("wine.dev", commit) and engine.ready("wine.dev")[0] == "False", "the timeout", 120)
    assert "wine-predictor" in engine.ready("wine.dev")[1]
    note("a model that a component stops: its health check fails after its timeout and names the Deployment")


def test_a_model_stopped_by_hand_is_started_again(
    forge: Gitea, plane: Cluster, engine: Flux, tmp_path: Path, note: Note
) -> None:
    """Flux takes away what kubectl added to its objects."""
    scene = installed(forge, plane, engine, tmp_path)
    namespace = scene.namespace("dev")
    stop = "serving.kserve.io/stop=true"
    plane.kubectl("-n", namespace, "annotate", "inferenceservice", "wine", stop)
    engine.reconcile("wine.dev")
    assert not stopped(plane, namespace, "wine")
    plane.kubectl("-n", "flux-system", "patch", "kustomization", "wine.dev", "--type=merge", "-p", SUSPEND)
    plane.kubectl("-n", namespace, "annotate", "inferenceservice", "wine", stop)
    engine.reconcile("fleet-dev")
    assert stopped(plane, namespace, "wine")
    note("a model that somebody stops with kubectl is started again, but not while its Kustomization is suspended")


@pytest.mark.parametrize("flags", [(), FLAGS], ids=["defaults", "flags"])
def test_models_that_load_slowly(
    forge: Gitea, plane: Cluster, tmp_path: Path, note: Note, flags: tuple[str, ...]
) -> None:
    """Five models of which none becomes ready, then a sixth that would."""
    patience = round(seconds(90))
    with flux(plane, flags) as engine:
        scene = Scene(forge, tmp_path, "sync=flux")
        limit(scene, f"{patience}s")
        scene.registry.known = [model(f"slow-{number}", challenger="1") for number in range(5)]
        scene.render()
        scene.push()
        install(scene, plane)
        namespace = scene.namespace("dev")
        wait(lambda: len(kserve.generations(plane, namespace)) >= 4, "four models to be applied", 180)
        time.sleep(3)
        scene.registry.known.append(model("quick", challenger="1"))
        scene.render()
        scene.push()
        begun = time.monotonic()
        engine.fetch()
        wait(lambda: kserve.version(plane, namespace, "quick"), "the sixth model", 400)
        took = time.monotonic() - begun
        engine.clear()
    if flags:
        assert took < patience
        note("models that load slowly do not hold up another, with the flags of the how-to", seconds=took)
    else:
        assert took > patience / 3
        note(
            "models that load slowly hold up another, with Flux's defaults",
            f"until their timeout of {patience} s",
            seconds=took,
        )
