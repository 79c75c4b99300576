"""What Argo CD does in a real cluster with a scaffolded repository."""

from __future__ import annotations

import contextlib
import functools
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import Note
from tests.support.apiserver.server import NotReady
from tests.support.cluster import kserve
from tests.support.cluster.argocd import ArgoCd, argocd
from tests.support.cluster.forge import Forge
from tests.support.cluster.kubernetes import Cluster, control_plane, wait
from tests.support.cluster.scene import Scene
from tests.support.cluster.webhook import mutating

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

SLUGS = ("churn", "fraud", "wine")
NAMES = [f"{slug}.dev.here" for slug in SLUGS]
POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: stray
spec:
  hostPID: true
  containers:
    - name: shell
      image: example.com/shell:1
"""


@pytest.fixture(scope="module")
def plane() -> Iterator[Cluster]:
    with control_plane() as cluster, mutating(cluster):
        yield cluster


@pytest.fixture(scope="module")
def running(plane: Cluster) -> Iterator[ArgoCd]:
    with argocd(plane) as found:
        yield found


@pytest.fixture
def engine(running: ArgoCd) -> Iterator[ArgoCd]:
    """Argo CD with nothing in it."""
    yield running
    clear(running)


def clear(engine: ArgoCd) -> None:
    """Remove all ApplicationSets and Applications, and keep what they applied."""
    engine.cluster.kubectl("-n", "argocd", "delete", "applicationsets", "--all", "--timeout=60s")
    engine.cluster.kubectl("-n", "argocd", "delete", "applications", "--all", "--timeout=60s")
    unlabel = ["environment.m2g.dev/dev-", "environment.m2g.dev/prod-"]
    engine.cluster.kubectl("-n", "argocd", "label", "secret", "cluster-here", *unlabel)


def install(scene: Scene, cluster: Cluster, environment: str = "dev") -> None:
    """The commands of the repository's README."""
    cluster.kubectl("apply", "-f", scene.root / f"platform/namespaces/{environment}.yaml")
    cluster.kubectl("apply", "-f", scene.root / f"platform/argocd/{environment}.yaml")
    label = f"environment.m2g.dev/{environment}=true"
    cluster.kubectl("-n", "argocd", "label", "secret", "cluster-here", label)


def installed(forge: Forge, engine: ArgoCd, folder: Path) -> Scene:
    """A fleet that is in sync in dev. Argo CD is told of pushes."""
    scene = Scene(forge, folder, "sync=argocd")
    for url in engine.hooks:
        forge.hook(scene.prefix, url)
    scene.render()
    commit = scene.push()
    install(scene, engine.cluster)
    wait(lambda: engine.names() == NAMES, "three Applications", 120)
    wait(lambda: all(engine.synced(name, commit) for name in NAMES), "all to be in sync", 180)
    return scene


def generations(scene: Scene, cluster: Cluster) -> dict[str, str]:
    """The generation of each InferenceService."""
    services = cluster.get(f"/apis/serving.kserve.io/v1beta1/namespaces/{scene.namespace('dev')}/inferenceservices")
    return {one["metadata"]["name"]: str(one["metadata"]["generation"]) for one in (services or {})["items"]}


def test_the_first_sync_applies_all_and_no_diff_remains(
    forge: Forge, engine: ArgoCd, tmp_path: Path, note: Note
) -> None:
    begun = time.monotonic()
    scene = installed(forge, engine, tmp_path)
    took = time.monotonic() - begun
    before = generations(scene, engine.cluster)
    assert sorted(before) == list(SLUGS)
    for name in NAMES:
        engine.refresh(name)
        assert engine.state(name)[0] == "Synced"
    ordinary = "argocd.argoproj.io/compare-options=ServerSideDiff=false"
    engine.cluster.kubectl("-n", "argocd", "annotate", "--overwrite", "application", NAMES[0], ordinary)
    engine.refresh(NAMES[0])
    assert engine.state(NAMES[0])[0] == "Synced", "with the ordinary diff, too"
    assert generations(scene, engine.cluster) == before
    note("first sync applies all; Synced after a hard refresh in both diff modes, with KServe's mutations in between",
         seconds=took)  # fmt: skip


def test_the_health_patch_keeps_argo_cds_configuration(
    forge: Forge, engine: ArgoCd, tmp_path: Path, note: Note
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


@pytest.mark.parametrize("flags", [(), ("--enable-new-git-file-globbing",)], ids=["default", "new"])
@pytest.mark.parametrize("where", ["notes", "notes/deep", "overlays/dev/more"])
def test_a_nested_app_json_makes_no_application(
    forge: Forge, plane: Cluster, tmp_path: Path, note: Note, flags: tuple[str, ...], where: str
) -> None:
    scene = Scene(forge, tmp_path, "sync=argocd")
    scene.render()
    folder = f"models/wine/{where}/overlays/dev"
    app = json.loads((scene.root / "models/wine/overlays/dev/app.json").read_text())
    scene.write(f"{folder}/app.json", json.dumps({**app, "slug": "stray"}))
    scene.write(f"{folder}/kustomization.yaml", "resources: [pod.yaml]\n")
    scene.write(f"{folder}/pod.yaml", POD)
    scene.push()
    with argocd(plane, flags) as engine:
        install(scene, plane)
        wait(lambda: len(engine.names()) >= 3, "the Applications", 120)
        engine.generate(f"{scene.prefix}-dev")
        assert engine.names() == NAMES
        clear(engine)
    kind = "its new" if flags else "the default"
    note(f"an app.json in {where}/ makes no Application, with {kind} globbing")


def test_one_alias_refreshes_one_application(forge: Forge, engine: ArgoCd, tmp_path: Path, note: Note) -> None:
    scene = installed(forge, engine, tmp_path)
    before = generations(scene, engine.cluster)
    scene.move("fraud", challenger="2")
    scene.render()
    begun = time.monotonic()
    scene.push()
    namespace = scene.namespace("dev")
    wait(lambda: kserve.version(engine.cluster, namespace, "fraud") == "2", "version 2", 120)
    took = time.monotonic() - begun
    time.sleep(3)
    after = generations(scene, engine.cluster)
    assert {slug for slug in before if before[slug] != after[slug]} == {"fraud"}
    sources = {name: engine.find(name)["status"]["sync"]["revision"] for name in NAMES}
    fresh = {name for name in NAMES if sources[name] == sources["fraud.dev.here"]}
    assert fresh == {"fraud.dev.here"}, "the others did not even look at the commit"
    note("one alias moves: one Application is refreshed by the forge's webhook", seconds=took, refreshed="1 of 3")


def test_a_component_refreshes_its_own_model_only(forge: Forge, engine: ArgoCd, tmp_path: Path, note: Note) -> None:
    scene = Scene(forge, tmp_path, "sync=argocd")
    scene.write("models/wine/custom/dev/kustomization.yaml",
                "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n")  # fmt: skip
    for url in engine.hooks:
        forge.hook(scene.prefix, url)
    scene.render()
    first = scene.push()
    install(scene, engine.cluster)
    wait(lambda: engine.names() == NAMES, "three Applications", 120)
    wait(lambda: all(engine.synced(name, first) for name in NAMES), "all to be in sync", 180)
    scene.move("fraud", challenger="2")
    scene.render()
    second = scene.push()
    wait(lambda: engine.synced("fraud.dev.here", second), "fraud to be in sync", 120)
    assert engine.synced("wine.dev.here", first), "a commit elsewhere does not regenerate it"
    text = (scene.root / "models/wine/custom/dev/kustomization.yaml").read_text()
    patch = "patches:\n- {target: {kind: InferenceService}, patch: '[{op: add, path: /metadata/labels/a, value: b}]'}\n"
    scene.write("models/wine/custom/dev/kustomization.yaml", text + patch)
    third = scene.push()
    wait(lambda: engine.synced("wine.dev.here", third), "wine to be in sync", 120)
    note("a model with a component is refreshed by its own files, not by every commit")


def test_a_deleted_application_set_leaves_its_applications(
    forge: Forge, engine: ArgoCd, tmp_path: Path, note: Note
) -> None:
    """With real garbage collection."""
    scene = installed(forge, engine, tmp_path)
    before = generations(scene, engine.cluster)
    name = f"{scene.prefix}-dev"
    engine.cluster.kubectl("-n", "argocd", "delete", "applicationset", name, "--timeout=60s")
    time.sleep(20)
    assert engine.names() == NAMES
    assert generations(scene, engine.cluster) == before
    install(scene, engine.cluster)
    path = f"/apis/argoproj.io/v1alpha1/namespaces/argocd/applicationsets/{name}"
    wait(lambda: [one for one in engine.names() if owned(engine, one, name)] == NAMES, "them to be adopted", 120)
    assert engine.cluster.get(path) is not None
    assert generations(scene, engine.cluster) == before
    note("the ApplicationSet is deleted and applied again: Applications and services stay, and are adopted again")


def owned(engine: ArgoCd, name: str, owner: str) -> bool:
    """Whether an Application belongs to an ApplicationSet."""
    return any(one["name"] == owner for one in engine.find(name)["metadata"].get("ownerReferences", []))


def test_one_cluster_serves_two_environments(forge: Forge, engine: ArgoCd, tmp_path: Path, note: Note) -> None:
    scene = installed(forge, engine, tmp_path)
    install(scene, engine.cluster, "prod")
    prod = ["churn.prod.here", "wine.prod.here"]
    wait(lambda: sorted([*NAMES, *prod]) == engine.names(), "the Applications of prod", 120)
    scene.move("wine", challenger="3")
    scene.render()
    scene.push()
    dev = scene.namespace("dev")
    wait(lambda: kserve.version(engine.cluster, dev, "wine") == "3", "dev to go on", 120)
    note("one cluster has the labels of dev and prod: both are served")


def test_a_removed_folder_keeps_the_service_and_comes_back(
    forge: Forge, engine: ArgoCd, tmp_path: Path, note: Note
) -> None:
    scene = installed(forge, engine, tmp_path)
    before = generations(scene, engine.cluster)
    scene.move("churn", challenger="")
    scene.render()
    scene.push()
    time.sleep(10)
    assert engine.names() == NAMES
    assert generations(scene, engine.cluster) == before
    scene.revert()
    wait(lambda: engine.state("churn.dev.here")[0] == "Synced", "churn to be back", 120)
    assert generations(scene, engine.cluster) == before
    note("a model's folder leaves Git and comes back: Application and service stay")


def test_a_revert_brings_the_old_version_back(forge: Forge, engine: ArgoCd, tmp_path: Path, note: Note) -> None:
    scene = installed(forge, engine, tmp_path)
    namespace = scene.namespace("dev")
    scene.move("wine", challenger="3")
    scene.render()
    scene.push()
    wait(lambda: kserve.version(engine.cluster, namespace, "wine") == "3", "version 3", 120)
    begun = time.monotonic()
    scene.revert()
    wait(lambda: kserve.version(engine.cluster, namespace, "wine") == "2", "version 2", 120)
    note("a revert brings the old version back", seconds=time.monotonic() - begun)


def test_a_fix_is_taken_while_a_sync_retries(forge: Forge, engine: ArgoCd, tmp_path: Path, note: Note) -> None:
    """A commit that the cluster refuses, then its fix."""
    scene = installed(forge, engine, tmp_path)
    good = (scene.root / "models/wine/overlays/dev/patch.yaml").read_text()
    bad = good + "- {op: add, path: /spec/predictor/minReplicas, value: none}\n"
    scene.write("models/wine/overlays/dev/patch.yaml", bad)
    scene.push()

    def retrying() -> bool:
        state = engine.find("wine.dev.here")["status"].get("operationState", {})
        return bool(state.get("phase") == "Running" and state.get("retryCount", 0) >= 1)

    wait(retrying, "a retry", 120)
    scene.move("wine", challenger="3")
    scene.render_anew()
    scene.push()
    begun = time.monotonic()
    namespace = scene.namespace("dev")
    wait(lambda: kserve.version(engine.cluster, namespace, "wine") == "3", "the fix", 150)
    note("a fix is pushed while a sync retries: the next retry takes it", seconds=time.monotonic() - begun)


def test_a_broken_overlay_does_not_stop_the_others(forge: Forge, engine: ArgoCd, tmp_path: Path, note: Note) -> None:
    scene = installed(forge, engine, tmp_path)
    namespace = scene.namespace("dev")
    scene.move("fraud", challenger="2")
    scene.render()
    scene.write("models/wine/overlays/dev/kustomization.yaml", "resources: [missing.yaml]\n")
    scene.push()
    wait(lambda: kserve.version(engine.cluster, namespace, "fraud") == "2", "the other model", 120)

    def shown() -> str:
        return json.dumps(engine.find("wine.dev.here")["status"].get("conditions", []))

    wait(lambda: "missing.yaml" in shown(), "the error", 120)
    assert kserve.version(engine.cluster, namespace, "wine") == "2", "what runs stays"
    note("a broken overlay, merged by force: its Application says so, others go on, what runs stays")


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


@pytest.mark.parametrize("whose", ["Argo CD's own", "m2g's"])
def test_health_is_what_kserve_says(forge: Forge, engine: ArgoCd, tmp_path: Path, note: Note, whose: str) -> None:
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
