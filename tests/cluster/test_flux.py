"""What Flux does in a real cluster with a scaffolded repository."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import Note
from tests.support.cluster import kserve
from tests.support.cluster.flux import Flux, flux
from tests.support.cluster.forge import Forge
from tests.support.cluster.kubernetes import Cluster, control_plane, wait
from tests.support.cluster.scene import Scene
from tests.support.cluster.webhook import mutating
from tests.support.fleet import model

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

BINDING = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {name}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: cluster-admin
subjects:
  - kind: ServiceAccount
    name: models
    namespace: {namespace}
"""
CHILD = """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: zz
  namespace: flux-system
spec:
  interval: 10m
  path: ./models/zz
  prune: true
  sourceRef:
    kind: GitRepository
    name: models
"""
DEV = ("fleet-dev", "churn.dev", "fraud.dev", "wine.dev")


@pytest.fixture(scope="module")
def plane() -> Iterator[Cluster]:
    with control_plane() as cluster, mutating(cluster):
        yield cluster


@pytest.fixture
def engine(plane: Cluster) -> Iterator[Flux]:
    """Flux as its installation starts it, with nothing in it."""
    with flux(plane) as found:
        yield found
        found.clear()


def install(scene: Scene, cluster: Cluster, environment: str = "dev") -> None:
    """The commands of the repository's README."""
    files = (
        f"fleet/{environment}/namespace/namespace.yaml",
        "platform/flux/_source.yaml",
        f"platform/flux/{environment}.yaml",
    )
    cluster.kubectl("apply", *(one for file in files for one in ("-f", scene.root / file)))


def installed(forge: Forge, cluster: Cluster, engine: Flux, folder: Path) -> Scene:
    """A fleet whose models are all applied and ready in dev."""
    scene = Scene(forge, folder, "sync=flux")
    scene.render()
    commit = scene.push()
    install(scene, cluster)
    wait(lambda: engine.healthy("fleet-dev", commit), "the fleet to be applied", 120)
    for slug in ("churn", "fraud", "wine"):
        serve(scene, cluster, slug)
    wait(lambda: all(engine.healthy(name, commit) for name in DEV), "all models to be ready", 120)
    return scene


def serve(scene: Scene, cluster: Cluster, slug: str) -> None:
    """KServe rolls out what the InferenceService says, and it becomes ready."""
    namespace = scene.namespace("dev")
    wait(lambda: kserve.version(cluster, namespace, slug), f"the service {slug}", 120)
    kserve.roll_out(cluster, namespace, slug)
    kserve.report(cluster, namespace, slug, ready=True)


def test_the_first_sync_applies_all_and_the_second_changes_nothing(
    forge: Forge, plane: Cluster, engine: Flux, tmp_path: Path, note: Note
) -> None:
    begun = time.monotonic()
    scene = installed(forge, plane, engine, tmp_path)
    took = time.monotonic() - begun
    services = f"/apis/serving.kserve.io/v1beta1/namespaces/{scene.namespace('dev')}/inferenceservices"
    before = plane.get(services)
    for name in DEV:
        engine.reconcile(name)
    assert plane.names(services) == ["churn", "fraud", "wine"]
    assert [one["metadata"]["resourceVersion"] for one in (plane.get(services) or {})["items"]] == [
        one["metadata"]["resourceVersion"] for one in (before or {})["items"]
    ]
    assert [engine.ready(name)[0] for name in DEV] == ["True"] * 4
    note("first sync applies all, a second one changes nothing, with KServe's mutations in between", seconds=took)


def test_a_stray_binding_in_the_fleet_is_refused(
    forge: Forge, plane: Cluster, engine: Flux, tmp_path: Path, note: Note
) -> None:
    scene = installed(forge, plane, engine, tmp_path)
    binding = f"{scene.prefix}-zz"
    scene.write("fleet/dev/zz.yaml", BINDING.format(name=binding, namespace=scene.namespace("dev")))
    commit = scene.push()
    engine.fetch()
    wait(lambda: engine.attempted("fleet-dev", commit) and engine.ready("fleet-dev")[0] == "False", "a refusal", 120)
    assert "clusterrolebindings" in engine.ready("fleet-dev")[1]
    assert "forbidden" in engine.ready("fleet-dev")[1]
    assert plane.get(f"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/{binding}") is None
    note("a cluster-admin binding in fleet/, merged by force, is refused, and the parent says so")


def test_a_stray_kustomization_has_the_rights_of_a_model(
    forge: Forge, plane: Cluster, engine: Flux, tmp_path: Path, note: Note
) -> None:
    """It names no account, so Flux would apply with its own rights."""
    scene = installed(forge, plane, engine, tmp_path)
    binding = f"{scene.prefix}-zz"
    scene.write("models/zz/binding.yaml", BINDING.format(name=binding, namespace=scene.namespace("dev")))
    scene.write("fleet/dev/zz.yaml", CHILD)
    scene.push()
    engine.fetch()
    wait(lambda: engine.ready("zz")[0] == "False", "a refusal", 120)
    assert "forbidden" in engine.ready("zz")[1]
    assert "fleet-dev-models" in engine.ready("zz")[1]
    assert plane.get(f"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/{binding}") is None
    note("a Kustomization in fleet/ without an account gets the rights of a model, so its binding is refused")


def test_one_alias_changes_one_object(forge: Forge, plane: Cluster, engine: Flux, tmp_path: Path, note: Note) -> None:
    """Every Kustomization looks at the new commit, since they share a source; only one finds something to do."""
    scene = installed(forge, plane, engine, tmp_path)
    before = versions(scene, plane)
    scene.move("fraud", challenger="2")
    scene.render()
    commit = scene.push()
    begun = time.monotonic()
    engine.fetch()
    namespace = scene.namespace("dev")
    wait(lambda: kserve.version(plane, namespace, "fraud") == "2", "version 2", 120)
    took = time.monotonic() - begun
    kserve.roll_out(plane, namespace, "fraud")
    kserve.report(plane, namespace, "fraud", ready=True)
    wait(lambda: all(engine.healthy(name, commit) for name in DEV), "all models to be ready", 120)
    after = versions(scene, plane)
    assert {slug for slug in before if before[slug] != after[slug]} == {"fraud"}
    note("one alias moves: one InferenceService changes", seconds=took, objects_changed="1")


def versions(scene: Scene, cluster: Cluster) -> dict[str, str]:
    """The generation of each InferenceService."""
    services = cluster.get(f"/apis/serving.kserve.io/v1beta1/namespaces/{scene.namespace('dev')}/inferenceservices")
    return {one["metadata"]["name"]: str(one["metadata"]["generation"]) for one in (services or {})["items"]}


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


def test_a_revert_brings_the_old_version_back(
    forge: Forge, plane: Cluster, engine: Flux, tmp_path: Path, note: Note
) -> None:
    scene = installed(forge, plane, engine, tmp_path)
    namespace = scene.namespace("dev")
    scene.move("wine", challenger="3")
    scene.render()
    scene.push()
    engine.fetch()
    wait(lambda: kserve.version(plane, namespace, "wine") == "3", "version 3", 120)
    scene.revert()
    begun = time.monotonic()
    engine.fetch()
    wait(lambda: engine.status("wine.dev") and kserve.version(plane, namespace, "wine") == "2", "version 2", 240)
    note("a revert brings the old version back", seconds=time.monotonic() - begun)


def test_a_retired_model_is_deleted_and_a_lost_folder_comes_back(
    forge: Forge, plane: Cluster, engine: Flux, tmp_path: Path, note: Note
) -> None:
    """In dev, what leaves Git leaves the cluster; `keepOnRemoval` is false there."""
    scene = installed(forge, plane, engine, tmp_path)
    namespace = scene.namespace("dev")
    scene.move("churn", challenger="")
    scene.render()
    scene.push()
    begun = time.monotonic()
    engine.fetch()
    wait(lambda: plane.get(kserve.service(namespace, "churn")) is None, "churn to be gone", 120)
    took = time.monotonic() - begun
    assert sorted(versions(scene, plane)) == ["fraud", "wine"]
    note("a retired model is deleted where keepOnRemoval is false; others stay", seconds=took)


def test_a_deleted_parent_takes_nothing_with_it(
    forge: Forge, plane: Cluster, engine: Flux, tmp_path: Path, note: Note
) -> None:
    scene = installed(forge, plane, engine, tmp_path)
    before = versions(scene, plane)
    plane.kubectl("-n", "flux-system", "delete", "kustomization", "fleet-dev", "--timeout=60s")
    time.sleep(5)
    assert versions(scene, plane) == before
    assert engine.names() == ["churn.dev", "fraud.dev", "wine.dev"]
    install(scene, plane)
    wait(lambda: engine.ready("fleet-dev")[0] == "True", "the parent to be back", 120)
    assert versions(scene, plane) == before
    note("the parent Kustomization is deleted and applied again: nothing in the cluster goes")


def test_a_broken_overlay_does_not_stop_the_others(
    forge: Forge, plane: Cluster, engine: Flux, tmp_path: Path, note: Note
) -> None:
    scene = installed(forge, plane, engine, tmp_path)
    namespace = scene.namespace("dev")
    scene.move("fraud", challenger="2")
    scene.render()
    scene.write("models/wine/overlays/dev/kustomization.yaml", "resources: [missing.yaml]\n")
    scene.push()
    engine.fetch()
    wait(lambda: kserve.version(plane, namespace, "fraud") == "2", "the other model", 120)
    wait(lambda: engine.ready("wine.dev")[0] == "False", "an error", 120)
    assert "missing.yaml" in engine.ready("wine.dev")[1]
    assert kserve.version(plane, namespace, "wine") == "2", "what runs stays"
    note("a broken overlay, merged by force: its Kustomization says so, others go on, what runs stays")


FLAGS = ("--concurrent=20", "--feature-gates=CancelHealthCheckOnNewRevision=true")


@pytest.mark.parametrize("flags", [(), FLAGS], ids=["defaults", "flags"])
def test_models_that_load_slowly(
    forge: Forge, plane: Cluster, tmp_path: Path, note: Note, flags: tuple[str, ...]
) -> None:
    """Five models of which none becomes ready, then a sixth that would."""
    with flux(plane, flags) as engine:
        scene = Scene(forge, tmp_path, "sync=flux")
        config = (scene.root / "m2g.yaml").read_text()
        scene.write(
            "m2g.yaml", config.replace("    namespace: flux-system", "    namespace: flux-system\n    timeout: 90s")
        )
        scene.registry.known = [model(f"slow-{number}", challenger="1") for number in range(5)]
        scene.render()
        scene.push()
        install(scene, plane)
        namespace = scene.namespace("dev")
        wait(lambda: len(versions(scene, plane)) >= 4, "four models to be applied", 180)
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
        note(
            "models that load slowly hold up another, with Flux's defaults", "until their timeout of 90 s", seconds=took
        )
