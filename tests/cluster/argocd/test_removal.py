"""What goes and what stays when something leaves Git or the cluster."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.cluster.conftest import Note
from tests.support.cluster import kserve
from tests.support.cluster.argocd import ArgoCd
from tests.support.cluster.argocd_fleet import NAMES, install, installed
from tests.support.cluster.kubernetes import wait
from tests.support.gitea import Gitea

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]


def test_a_deleted_application_set_leaves_its_applications(
    forge: Gitea, engine: ArgoCd, tmp_path: Path, note: Note
) -> None:
    """With real garbage collection."""
    scene = installed(forge, engine, tmp_path)
    before = kserve.generations(engine.cluster, scene.namespace("dev"))
    name = f"{scene.prefix}-dev"
    engine.cluster.kubectl("-n", "argocd", "delete", "applicationset", name, "--timeout=60s")
    time.sleep(20)
    assert engine.names() == NAMES
    assert kserve.generations(engine.cluster, scene.namespace("dev")) == before
    install(scene, engine.cluster)
    path = f"/apis/argoproj.io/v1alpha1/namespaces/argocd/applicationsets/{name}"
    wait(lambda: [one for one in engine.names() if owned(engine, one, name)] == NAMES, "them to be adopted", 120)
    assert engine.cluster.get(path) is not None
    assert kserve.generations(engine.cluster, scene.namespace("dev")) == before
    note("the ApplicationSet is deleted and applied again: Applications and services stay, and are adopted again")


def owned(engine: ArgoCd, name: str, owner: str) -> bool:
    """Whether an Application belongs to an ApplicationSet."""
    return any(one["name"] == owner for one in engine.find(name)["metadata"].get("ownerReferences", []))


def lost(engine: ArgoCd, name: str) -> bool:
    """Whether an Application says that its folder is not in Git."""
    return "app path does not exist" in json.dumps(engine.find(name)["status"])


def test_one_cluster_serves_two_environments(forge: Gitea, engine: ArgoCd, tmp_path: Path, note: Note) -> None:
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


def test_a_deleted_folder_keeps_the_service_and_comes_back(
    forge: Gitea, engine: ArgoCd, tmp_path: Path, note: Note
) -> None:
    """Somebody deletes models/wine."""
    scene = installed(forge, engine, tmp_path)
    before = kserve.generations(engine.cluster, scene.namespace("dev"))
    scene.remove("models/wine")
    scene.push()
    wait(lambda: lost(engine, "wine.dev.here"), "the Application to say so", 120)
    assert kserve.generations(engine.cluster, scene.namespace("dev")) == before
    commit = scene.revert()
    wait(lambda: engine.synced("wine.dev.here", commit), "wine to be back", 120)
    assert kserve.generations(engine.cluster, scene.namespace("dev")) == before
    note("a model's folder is deleted: Application and service stay; a revert restores it, unchanged")


def test_a_retired_model_goes_when_a_person_deletes_it(
    forge: Gitea, engine: ArgoCd, tmp_path: Path, note: Note
) -> None:
    """The commands of the how-to: with the service, and without."""
    scene = installed(forge, engine, tmp_path)
    namespace = scene.namespace("dev")
    scene.move("churn", challenger="")
    scene.move("fraud", challenger="")
    scene.render()
    scene.push()
    wait(lambda: lost(engine, "churn.dev.here") and lost(engine, "fraud.dev.here"), "the Applications to say so", 120)
    assert sorted(kserve.generations(engine.cluster, namespace)) == ["churn", "fraud", "wine"]
    engine.command("app", "delete", "churn.dev.here", "--yes")
    wait(lambda: engine.names() == ["fraud.dev.here", "wine.dev.here"], "the Application to be gone", 120)
    assert sorted(kserve.generations(engine.cluster, namespace)) == ["fraud", "wine"]
    engine.command("app", "delete", "fraud.dev.here", "--cascade=false", "--yes")
    wait(lambda: engine.names() == ["wine.dev.here"], "the Application to be gone", 120)
    time.sleep(3)
    assert sorted(kserve.generations(engine.cluster, namespace)) == ["fraud", "wine"]
    engine.generate(f"{scene.prefix}-dev")
    assert engine.names() == ["wine.dev.here"]
    note("a retired model serves until a person runs `argocd app delete`; with --cascade=false the service stays")
