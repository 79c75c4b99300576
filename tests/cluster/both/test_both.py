"""One repository for both engines (`sync: both`): an environment each, and how its README shows a mistake."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import Note
from tests.support.cluster import kserve
from tests.support.cluster.argocd import ArgoCd, argocd
from tests.support.cluster.argocd_fleet import NAMES, clear
from tests.support.cluster.flux import Flux, flux
from tests.support.cluster.flux_fleet import settle
from tests.support.cluster.kubernetes import Cluster, wait
from tests.support.cluster.scene import Scene
from tests.support.gitea import Gitea

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]


@pytest.fixture
def argo(plane: Cluster) -> Iterator[ArgoCd]:
    with argocd(plane) as found:
        yield found
        clear(found)


@pytest.fixture
def fluxes(plane: Cluster) -> Iterator[Flux]:
    with flux(plane) as found:
        yield found
        found.clear()


def follow(scene: Scene, cluster: Cluster, words: str) -> list[str]:
    """Run the commands below some words of the repository's README; what they print."""
    readme = (scene.root / "README.md").read_text()
    assert readme.count(words) == 1, words
    block = textwrap.dedent(readme.partition(words)[2].partition("```sh\n")[2].partition("```")[0])
    block = block.replace("<secret of the cluster>", "cluster-here")
    printed = []
    for line in block.splitlines():
        program, *arguments = shlex.split(line, comments=True)
        assert program == "kubectl"
        placed = [scene.root / one if (scene.root / one).exists() else one for one in arguments]
        printed.append(cluster.kubectl(*placed))
    return printed


def deployed(scene: Scene, cluster: Cluster) -> dict[tuple[str, str], list[str]]:
    """Environment and model → which tools deploy it, as the README's list says."""
    [listed] = follow(scene, cluster, "To see that no cluster has two tools for one environment")
    rows = [line.split() for line in listed.splitlines()[1:]]
    own = {scene.namespace(environment): environment for environment in ("dev", "prod")}
    return {
        (own[namespace], name): [tool for tool, text in (("Argo CD", argo), ("Flux", flux)) if text != "<none>"]
        for namespace, name, argo, flux in rows
        if namespace in own
    }


def test_each_engine_has_its_environment(
    forge: Gitea, plane: Cluster, argo: ArgoCd, fluxes: Flux, tmp_path: Path, note: Note
) -> None:
    scene = Scene(forge, tmp_path, "sync=both")
    for url in argo.hooks:
        scene.repository.hook(url)
    scene.render()
    commit = scene.push()
    follow(scene, plane, "dev with Argo CD:")
    follow(scene, plane, "prod with Flux, in its cluster:")
    wait(lambda: argo.names() == NAMES, "the Applications", 120)
    wait(lambda: all(argo.synced(name, commit) for name in NAMES), "all to be in sync", 180)
    settle(scene, plane, fluxes, commit, "prod")
    scene.move("wine", challenger="3", champion="2")
    scene.render()
    scene.push()
    fluxes.fetch()
    wait(lambda: kserve.version(plane, scene.namespace("dev"), "wine") == "3", "dev", 120)
    wait(lambda: kserve.version(plane, scene.namespace("prod"), "wine") == "2", "prod", 120)
    assert deployed(scene, plane) == {
        **{("dev", slug): ["Argo CD"] for slug in ("churn", "fraud", "wine")},
        **{("prod", slug): ["Flux"] for slug in ("churn", "wine")},
    }
    note("sync: both, the README's commands: dev with Argo CD and prod with Flux, in one cluster; each does its part")


def test_the_readme_shows_two_tools_on_one_environment(
    forge: Gitea, plane: Cluster, argo: ArgoCd, fluxes: Flux, tmp_path: Path, note: Note
) -> None:
    scene = Scene(forge, tmp_path, "sync=both")
    scene.render()
    commit = scene.push()
    follow(scene, plane, "dev with Argo CD:")
    wait(lambda: argo.names() == NAMES, "the Applications", 120)
    wait(lambda: all(argo.synced(name, commit) for name in NAMES), "all to be in sync", 180)
    follow(scene, plane, "dev with Flux, in its cluster:")
    wait(lambda: fluxes.attempted("wine.dev", commit), "Flux to apply", 120)
    wait(lambda: deployed(scene, plane).get(("dev", "wine")) == ["Argo CD", "Flux"], "the list to show both", 60)
    note("both engines on one environment, by mistake: the README's list shows it")
