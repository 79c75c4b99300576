"""When Flux calls a model ready, late, failed or stopped, and how long one model holds up another."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.cluster.conftest import Note
from tests.support.cluster import kserve
from tests.support.cluster.flux import Flux, flux
from tests.support.cluster.flux_fleet import install, installed
from tests.support.cluster.forge import Forge
from tests.support.cluster.kubernetes import Cluster, wait
from tests.support.cluster.scene import Scene
from tests.support.fleet import model

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

FLAGS = ("--concurrent=20", "--feature-gates=CancelHealthCheckOnNewRevision=true")


def limit(scene: Scene, timeout: str) -> None:
    """Set `sync.flux.timeout`."""
    config = (scene.root / "m2g.yaml").read_text()
    assert config.count("    namespace: flux-system") == 1
    text = f"    namespace: flux-system\n    timeout: {timeout}"
    scene.write("m2g.yaml", config.replace("    namespace: flux-system", text))


def test_health_waits_for_the_new_version(
    forge: Forge, plane: Cluster, engine: Flux, tmp_path: Path, note: Note
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
    forge: Forge, plane: Cluster, engine: Flux, tmp_path: Path, note: Note
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
    forge: Forge, plane: Cluster, engine: Flux, tmp_path: Path, note: Note
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


def test_a_stopped_model_is_reported_after_the_timeout(
    forge: Forge, plane: Cluster, engine: Flux, tmp_path: Path, note: Note
) -> None:
    """KServe deletes the Deployment of a service with the annotation serving.kserve.io/stop."""
    scene = installed(forge, plane, engine, tmp_path)
    namespace = scene.namespace("dev")
    limit(scene, "20s")
    scene.render()
    commit = scene.push()
    engine.fetch()
    wait(lambda: engine.healthy("wine.dev", commit), "the timeout to be set", 120)
    stop = '{"metadata": {"annotations": {"serving.kserve.io/stop": "true"}}}'
    plane.kubectl("-n", namespace, "patch", "inferenceservice", "wine", "--type=merge", "-p", stop)
    plane.kubectl("-n", namespace, "delete", "deployment", "wine-predictor", "--timeout=60s")
    engine.reconcile("wine.dev")
    status, message = engine.ready("wine.dev")
    assert (status, "wine-predictor" in message) == ("False", True)
    served = plane.get(kserve.service(namespace, "wine"))
    assert served is not None
    assert served["metadata"]["annotations"]["serving.kserve.io/stop"] == "true", "Flux does not own this annotation"
    note("a model that somebody stopped stays stopped; its health check fails after its timeout and names the object")


@pytest.mark.parametrize("flags", [(), FLAGS], ids=["defaults", "flags"])
def test_models_that_load_slowly(
    forge: Forge, plane: Cluster, tmp_path: Path, note: Note, flags: tuple[str, ...]
) -> None:
    """Five models of which none becomes ready, then a sixth that would."""
    with flux(plane, flags) as engine:
        scene = Scene(forge, tmp_path, "sync=flux")
        limit(scene, "90s")
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
        assert took < 60
        note("models that load slowly do not hold up another, with the flags of the how-to", seconds=took)
    else:
        assert took > 30
        note(
            "models that load slowly hold up another, with Flux's defaults", "until their timeout of 90 s", seconds=took
        )
