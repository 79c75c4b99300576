"""Upgrades under Argo CD: of the platform files and of KServe."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.cluster.conftest import Note
from tests.support.cluster import kserve
from tests.support.cluster.argocd import ArgoCd
from tests.support.cluster.argocd_fleet import NAMES, installed, label, prepared, settle
from tests.support.cluster.kubernetes import wait
from tests.support.gitea import Gitea
from tests.support.scaffolded import documents, mapping, sequence

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]


def make_old(path: Path) -> None:
    """A project and an ApplicationSet as scaffolds wrote them before: another label, no finalizer, no second path."""
    project, applications = documents(path)
    owner = mapping(applications, "metadata")
    del owner["finalizers"]
    git, clusters = sequence(applications, "spec", "generators", 0, "matrix", "generators")
    del sequence(git, "git", "files")[1]
    mapping(clusters, "clusters", "selector")["matchLabels"] = {"m2g.dev/environment": "dev"}
    allowed = sequence(project, "spec", "namespaceResourceWhitelist")
    allowed += [{"group": "", "kind": "Pod"}, {"group": "apps", "kind": "Deployment"}]
    with path.open("w") as file:
        YAML().dump_all([project, applications], file)


def test_older_platform_files_are_replaced(forge: Gitea, engine: ArgoCd, tmp_path: Path, note: Note) -> None:
    """The commands of the how-to, in its order."""
    scene = prepared(forge, engine, tmp_path)
    platform = scene.root / "platform/argocd/dev.yaml"
    text = platform.read_text()
    make_old(platform)
    commit = scene.push()
    engine.cluster.kubectl("apply", "-f", scene.root / "platform/namespaces/dev.yaml", "-f", platform)
    old = "m2g.dev/environment=dev"
    engine.cluster.kubectl("-n", "argocd", "label", "secret", "cluster-here", old)
    settle(engine, commit)
    before = kserve.generations(engine.cluster, scene.namespace("dev"))
    ids = [engine.find(name)["metadata"]["uid"] for name in NAMES]
    platform.write_text(text)
    scene.move("wine", challenger="3")
    scene.render()
    label(engine.cluster, "dev")
    engine.cluster.kubectl("apply", "-f", platform)
    engine.cluster.kubectl("-n", "argocd", "label", "secret", "cluster-here", "m2g.dev/environment-")
    scene.push()
    wait(lambda: kserve.version(engine.cluster, scene.namespace("dev"), "wine") == "3", "the next version", 120)
    engine.generate(f"{scene.prefix}-dev")
    after = kserve.generations(engine.cluster, scene.namespace("dev"))
    assert {slug for slug in before if before[slug] != after[slug]} == {"wine"}
    assert [one.split()[0] for one in before.values()] == [one.split()[0] for one in after.values()]
    assert [engine.find(name)["metadata"]["uid"] for name in NAMES] == ids
    note("older platform files are replaced by those of today: no Application and no service is made anew")


def test_kserves_new_word_for_the_mode_changes_in_place(
    forge: Gitea, engine: ArgoCd, tmp_path: Path, note: Note
) -> None:
    """From KServe 0.15 to 0.16, RawDeployment becomes Standard."""
    scene = installed(forge, engine, tmp_path, "kserve_version=0.15")
    namespace = scene.namespace("dev")
    before = kserve.generations(engine.cluster, namespace)
    assert kserve.mode(engine.cluster, namespace, "wine") == "RawDeployment"
    config = (scene.root / "m2g.yaml").read_text()
    assert config.count('"0.15"') == 1
    scene.write("m2g.yaml", config.replace('"0.15"', '"0.16"'))
    scene.render()
    commit = scene.push()
    settle(engine, commit)
    assert kserve.mode(engine.cluster, namespace, "wine") == "Standard"
    assert kserve.generations(engine.cluster, namespace) == before
    note("from KServe 0.15 to 0.16, the mode is renamed in place: no service is made anew, none changes its spec")
