"""What Flux does with a scaffolded repository from the first sync on: changes, reverts, pins, removals."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.cluster.conftest import Note
from tests.support.cluster import kserve
from tests.support.cluster.flux import Flux
from tests.support.cluster.flux_fleet import install, installed, names, serve
from tests.support.cluster.kubernetes import Cluster, wait
from tests.support.gitea import Gitea
from tests.support.machine import whole_seconds

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]


def test_the_first_sync_applies_all_and_the_second_changes_nothing(
    forge: Gitea, plane: Cluster, engine: Flux, tmp_path: Path, note: Note
) -> None:
    begun = time.monotonic()
    scene = installed(forge, plane, engine, tmp_path)
    took = time.monotonic() - begun
    services = f"/apis/serving.kserve.io/v1beta1/namespaces/{scene.namespace('dev')}/inferenceservices"
    before = plane.get(services)
    every = ["fleet-dev", *names()]
    for name in every:
        engine.reconcile(name)
    assert plane.names(services) == ["churn", "fraud", "wine"]
    assert [one["metadata"]["resourceVersion"] for one in (plane.get(services) or {})["items"]] == [
        one["metadata"]["resourceVersion"] for one in (before or {})["items"]
    ]
    assert [engine.ready(name)[0] for name in every] == ["True"] * 4
    note("first sync applies all, a second one changes nothing, with KServe's mutations in between", seconds=took)


def test_one_alias_changes_one_object(forge: Gitea, plane: Cluster, engine: Flux, tmp_path: Path, note: Note) -> None:
    """Every Kustomization looks at the new commit, since they share a source; only one finds something to do."""
    scene = installed(forge, plane, engine, tmp_path)
    namespace = scene.namespace("dev")
    before = kserve.generations(plane, namespace)
    scene.move("fraud", challenger="2")
    scene.render()
    commit = scene.push()
    begun = time.monotonic()
    engine.fetch()
    wait(lambda: kserve.version(plane, namespace, "fraud") == "2", "version 2", 120)
    took = time.monotonic() - begun
    serve(scene, plane, "fraud")
    wait(lambda: all(engine.healthy(name, commit) for name in names()), "all models to be ready", 120)
    after = kserve.generations(plane, namespace)
    assert {slug for slug in before if before[slug] != after[slug]} == {"fraud"}
    note("one alias moves: one InferenceService changes", seconds=took, objects_changed="1")


def test_a_revert_brings_the_old_version_back(
    forge: Gitea, plane: Cluster, engine: Flux, tmp_path: Path, note: Note
) -> None:
    scene = installed(forge, plane, engine, tmp_path)
    namespace = scene.namespace("dev")
    scene.move("wine", challenger="3")
    scene.render()
    scene.push()
    engine.fetch()
    wait(lambda: kserve.version(plane, namespace, "wine") == "3", "version 3", 120)
    serve(scene, plane, "wine")
    scene.revert()
    begun = time.monotonic()
    engine.fetch()
    wait(lambda: kserve.version(plane, namespace, "wine") == "2", "version 2", 240)
    note("a revert brings the old version back", seconds=time.monotonic() - begun)


def test_a_pin_holds_a_version(forge: Gitea, plane: Cluster, engine: Flux, tmp_path: Path, note: Note) -> None:
    scene = installed(forge, plane, engine, tmp_path)
    namespace = scene.namespace("dev")
    scene.pin("wine", "dev", 1)
    scene.render()
    scene.push()
    engine.fetch()
    wait(lambda: kserve.version(plane, namespace, "wine") == "1", "the pinned version", 120)
    serve(scene, plane, "wine")
    scene.move("wine", challenger="3")
    scene.render()
    commit = scene.push()
    engine.fetch()
    wait(lambda: engine.healthy("wine.dev", commit), "the commit with the alias", 120)
    assert kserve.version(plane, namespace, "wine") == "1"
    scene.remove("models/wine/model.yaml")
    scene.render()
    scene.push()
    engine.fetch()
    wait(lambda: kserve.version(plane, namespace, "wine") == "3", "the alias's version", 120)
    note("a pin holds a version while the alias moves; without the pin, the alias's version comes")


def test_a_change_by_hand_is_set_back(forge: Gitea, plane: Cluster, engine: Flux, tmp_path: Path, note: Note) -> None:
    scene = installed(forge, plane, engine, tmp_path)
    patch = '{"spec": {"predictor": {"maxReplicas": 9}}}'
    plane.kubectl("-n", scene.namespace("dev"), "patch", "inferenceservice", "wine", "--type=merge", "-p", patch)
    engine.reconcile("wine.dev")
    served = plane.get(kserve.service(scene.namespace("dev"), "wine"))
    assert served is not None
    assert served["spec"]["predictor"]["maxReplicas"] == 1
    note("a change by hand in the cluster is set back")


def test_a_retired_model_is_deleted_where_git_says_so(
    forge: Gitea, plane: Cluster, engine: Flux, tmp_path: Path, note: Note
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
    assert sorted(kserve.generations(plane, namespace)) == ["fraud", "wine"]
    note("a retired model is deleted where keepOnRemoval is false; others stay", seconds=took)


def test_a_retired_model_of_prod_stays_and_is_taken_over_again(
    forge: Gitea, plane: Cluster, engine: Flux, tmp_path: Path, note: Note
) -> None:
    """`keepOnRemoval` is true there."""
    scene = installed(forge, plane, engine, tmp_path, environment="prod")
    namespace = scene.namespace("prod")
    before = kserve.generations(plane, namespace)
    scene.move("churn", champion="")
    scene.render()
    scene.push()
    engine.fetch()
    wait(lambda: engine.names() == ["fleet-prod", "wine.prod"], "its Kustomization to be gone", 120)
    time.sleep(3)
    assert kserve.generations(plane, namespace) == before
    commit = scene.revert()
    engine.fetch()
    wait(lambda: engine.healthy("churn.prod", commit), "churn to be back", 120)
    assert kserve.generations(plane, namespace) == before
    note("a retired model of prod (keepOnRemoval) keeps serving; a revert takes it over again, unchanged")


def test_a_deleted_folder_keeps_the_service_and_comes_back(
    forge: Gitea, plane: Cluster, engine: Flux, tmp_path: Path, note: Note
) -> None:
    """Somebody deletes models/wine, and not the file in fleet/."""
    scene = installed(forge, plane, engine, tmp_path)
    before = kserve.generations(plane, scene.namespace("dev"))
    scene.remove("models/wine")
    scene.force()
    engine.fetch()
    wait(lambda: engine.ready("wine.dev")[0] == "False", "an error", 120)
    assert "models/wine/overlays/dev" in engine.ready("wine.dev")[1]
    assert kserve.generations(plane, scene.namespace("dev")) == before
    commit = scene.revert()
    engine.fetch()
    wait(lambda: engine.healthy("wine.dev", commit), "wine to be back", 120)
    assert kserve.generations(plane, scene.namespace("dev")) == before
    note(
        "a model's folder is deleted, merged by force: the service stays, Flux says so; a revert restores it, unchanged"
    )


def test_a_deleted_parent_takes_nothing_with_it(
    forge: Gitea, plane: Cluster, engine: Flux, tmp_path: Path, note: Note
) -> None:
    scene = installed(forge, plane, engine, tmp_path)
    before = kserve.generations(plane, scene.namespace("dev"))
    plane.kubectl("-n", "flux-system", "delete", "kustomization", "fleet-dev", f"--timeout={whole_seconds(60)}s")
    time.sleep(5)
    assert kserve.generations(plane, scene.namespace("dev")) == before
    assert engine.names() == names()
    install(scene, plane)
    wait(lambda: engine.ready("fleet-dev")[0] == "True", "the parent to be back", 120)
    assert kserve.generations(plane, scene.namespace("dev")) == before
    note("the parent Kustomization is deleted and applied again: nothing in the cluster goes")


def test_a_broken_overlay_does_not_stop_the_others(
    forge: Gitea, plane: Cluster, engine: Flux, tmp_path: Path, note: Note
) -> None:
    scene = installed(forge, plane, engine, tmp_path)
    namespace = scene.namespace("dev")
    scene.move("fraud", challenger="2")
    scene.render()
    scene.write("models/wine/overlays/dev/kustomization.yaml", "resources: [missing.yaml]\n")
    scene.force()
    engine.fetch()
    wait(lambda: kserve.version(plane, namespace, "fraud") == "2", "the other model", 120)
    wait(lambda: engine.ready("wine.dev")[0] == "False", "an error", 120)
    assert "missing.yaml" in engine.ready("wine.dev")[1]
    assert kserve.version(plane, namespace, "wine") == "2", "what runs stays"
    note("a broken overlay, merged by force: its Kustomization says so, others go on, what runs stays")
