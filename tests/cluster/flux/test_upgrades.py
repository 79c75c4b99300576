"""Upgrades under Flux: of the platform files and of KServe."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.cluster.conftest import Note
from tests.support.cluster import kserve
from tests.support.cluster.flux import Flux
from tests.support.cluster.flux_fleet import install, installed, names, settle
from tests.support.cluster.kubernetes import Cluster, wait
from tests.support.cluster.scene import Scene
from tests.support.gitea import Gitea
from tests.support.scaffolded import documents, mapping

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]


def make_old(path: Path) -> None:
    """A parent as scaffolds before the bounds wrote it: with Flux's own rights."""
    parent = documents(path)[0]
    spec = mapping(parent, "spec")
    del spec["serviceAccountName"], spec["patches"]
    with path.open("w") as file:
        YAML().dump(parent, file)


def test_older_platform_files_get_bounds(
    forge: Gitea, plane: Cluster, engine: Flux, tmp_path: Path, note: Note
) -> None:
    """`copier update`, then the commands of the README again."""
    scene = Scene(forge, tmp_path, "sync=flux")
    scene.render()
    platform = scene.root / "platform/flux/dev.yaml"
    text = platform.read_text()
    make_old(platform)
    commit = scene.push()
    install(scene, plane)
    settle(scene, plane, engine, commit)
    before = kserve.generations(plane, scene.namespace("dev"))
    ids = [engine.uid(name) for name in names()]
    assert "serviceAccountName" not in engine.spec("wine.dev")
    platform.write_text(text)
    scene.move("wine", challenger="3")
    scene.render()
    commit = scene.push()
    install(scene, plane)
    engine.fetch()
    wait(lambda: kserve.version(plane, scene.namespace("dev"), "wine") == "3", "the next version", 120)
    settle(scene, plane, engine, commit)
    after = kserve.generations(plane, scene.namespace("dev"))
    assert {slug for slug in before if before[slug] != after[slug]} == {"wine"}
    assert [one.split()[0] for one in before.values()] == [one.split()[0] for one in after.values()]
    assert [engine.uid(name) for name in names()] == ids
    assert engine.spec("wine.dev")["serviceAccountName"] == "fleet-dev-models"
    note("platform files without bounds are replaced by those of today: nothing is deleted or made anew")


def test_kserves_new_word_for_the_mode_changes_in_place(
    forge: Gitea, plane: Cluster, engine: Flux, tmp_path: Path, note: Note
) -> None:
    """From KServe 0.15 to 0.16, RawDeployment becomes Standard."""
    scene = installed(forge, plane, engine, tmp_path, "kserve_version=0.15")
    namespace = scene.namespace("dev")
    before = kserve.generations(plane, namespace)
    assert kserve.mode(plane, namespace, "wine") == "RawDeployment"
    config = (scene.root / "m2g.yaml").read_text()
    assert config.count('"0.15"') == 1
    scene.write("m2g.yaml", config.replace('"0.15"', '"0.16"'))
    scene.render()
    commit = scene.push()
    engine.fetch()
    wait(lambda: kserve.mode(plane, namespace, "wine") == "Standard", "the new word", 120)
    wait(lambda: all(engine.healthy(name, commit) for name in names()), "all models to be ready", 120)
    assert kserve.generations(plane, namespace) == before
    note("from KServe 0.15 to 0.16, the mode is renamed in place: no service is made anew, none changes its spec")
