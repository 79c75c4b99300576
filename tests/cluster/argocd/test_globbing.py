"""Hostile folders against the ApplicationSet of a scaffold, under both globbings of Argo CD."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cluster.conftest import Note
from tests.support.cluster import hostile
from tests.support.cluster.argocd import argocd
from tests.support.cluster.argocd_fleet import NAMES, clear, install
from tests.support.cluster.kubernetes import Cluster, wait
from tests.support.cluster.scene import Scene
from tests.support.gitea import Gitea

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]


@pytest.mark.parametrize("flags", [(), ("--enable-new-git-file-globbing",)], ids=["default", "new"])
@pytest.mark.parametrize("where", ["notes", "notes/deep", "overlays/dev/more"])
def test_a_nested_app_json_makes_no_application(
    forge: Gitea, plane: Cluster, tmp_path: Path, note: Note, flags: tuple[str, ...], where: str
) -> None:
    scene = Scene(forge, tmp_path, "sync=argocd")
    scene.render()
    folder = f"models/wine/{where}/overlays/dev"
    app = json.loads((scene.root / "models/wine/overlays/dev/app.json").read_text())
    scene.write(f"{folder}/app.json", json.dumps({**app, "slug": "stray"}))
    scene.write(f"{folder}/kustomization.yaml", "resources: [pod.yaml]\n")
    scene.write(f"{folder}/pod.yaml", hostile.POD)
    scene.force()
    with argocd(plane, flags) as engine:
        install(scene, plane)
        wait(lambda: len(engine.names()) >= 3, "the Applications", 120)
        engine.generate(f"{scene.prefix}-dev")
        assert engine.names() == NAMES
        clear(engine)
    kind = "its new" if flags else "the default"
    note(f"an app.json in {where}/ makes no Application, with {kind} globbing")
