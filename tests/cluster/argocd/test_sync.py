"""What Argo CD does with a scaffolded repository from the first sync on: changes, reverts, pins, pauses."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.cluster.conftest import Note
from tests.support.cluster import kserve
from tests.support.cluster.argocd import ArgoCd
from tests.support.cluster.argocd_fleet import NAMES, SLUGS, install, installed, prepared, settle
from tests.support.cluster.kubernetes import wait
from tests.support.gitea import Gitea

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

BAD = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: bad
data: {"a/b": no key of a ConfigMap has a slash}
"""
LABEL = """\
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
patches:
  - target: {kind: InferenceService}
    patch: |
      - {op: add, path: /metadata/labels/a, value: b}
"""


def test_the_first_sync_applies_all_and_no_diff_remains(
    forge: Gitea, engine: ArgoCd, tmp_path: Path, note: Note
) -> None:
    begun = time.monotonic()
    scene = installed(forge, engine, tmp_path)
    took = time.monotonic() - begun
    before = kserve.generations(engine.cluster, scene.namespace("dev"))
    assert sorted(before) == list(SLUGS["dev"])
    for name in NAMES:
        engine.refresh(name)
        assert engine.state(name)[0] == "Synced"
    ordinary = "argocd.argoproj.io/compare-options=ServerSideDiff=false"
    engine.cluster.kubectl("-n", "argocd", "annotate", "--overwrite", "application", NAMES[0], ordinary)
    engine.refresh(NAMES[0])
    assert engine.state(NAMES[0])[0] == "Synced", "with the ordinary diff, too"
    assert kserve.generations(engine.cluster, scene.namespace("dev")) == before
    note("first sync applies all; Synced after a hard refresh in both diff modes, with KServe's mutations in between",
         seconds=took)  # fmt: skip


def test_a_broken_overlay_does_not_stop_the_others(forge: Gitea, engine: ArgoCd, tmp_path: Path, note: Note) -> None:
    scene = installed(forge, engine, tmp_path)
    namespace = scene.namespace("dev")
    before = kserve.generations(engine.cluster, namespace)
    scene.move("fraud", challenger="2")
    scene.render()
    whole = (scene.root / "models/wine/overlays/dev/kustomization.yaml").read_text()
    scene.write("models/wine/overlays/dev/kustomization.yaml", "resources: [missing.yaml]\n")
    scene.force()
    wait(lambda: kserve.version(engine.cluster, namespace, "fraud") == "2", "the other model", 120)
    wait(lambda: engine.state("wine.dev.here")[0] == "Unknown", "an error", 120)
    (condition,) = engine.find("wine.dev.here")["status"]["conditions"]
    assert condition["type"] == "ComparisonError"
    assert "missing.yaml" in condition["message"]
    assert "missing.yaml" in engine.command("app", "get", "wine.dev.here")
    assert kserve.generations(engine.cluster, namespace)["wine"] == before["wine"], "what runs stays"
    scene.write("models/wine/overlays/dev/kustomization.yaml", whole)
    commit = scene.push()
    wait(lambda: engine.synced("wine.dev.here", commit), "the repaired overlay", 120)
    assert kserve.generations(engine.cluster, namespace)["wine"] == before["wine"]
    assert "conditions" not in engine.find("wine.dev.here")["status"]
    note(
        "a broken overlay, merged by force: its Application says so, others go on, what runs stays; then it is repaired"
    )


def test_one_alias_refreshes_one_application(forge: Gitea, engine: ArgoCd, tmp_path: Path, note: Note) -> None:
    scene = installed(forge, engine, tmp_path)
    before = kserve.generations(engine.cluster, scene.namespace("dev"))
    scene.move("fraud", challenger="2")
    scene.render()
    begun = time.monotonic()
    scene.push()
    namespace = scene.namespace("dev")
    wait(lambda: kserve.version(engine.cluster, namespace, "fraud") == "2", "version 2", 120)
    took = time.monotonic() - begun
    time.sleep(3)
    after = kserve.generations(engine.cluster, scene.namespace("dev"))
    assert {slug for slug in before if before[slug] != after[slug]} == {"fraud"}
    sources = {name: engine.find(name)["status"]["sync"]["revision"] for name in NAMES}
    fresh = {name for name in NAMES if sources[name] == sources["fraud.dev.here"]}
    assert fresh == {"fraud.dev.here"}, "the others did not even look at the commit"
    note("one alias moves: one Application is refreshed by the forge's webhook", seconds=took, refreshed="1 of 3")


def test_a_component_refreshes_its_own_model_only(forge: Gitea, engine: ArgoCd, tmp_path: Path, note: Note) -> None:
    scene = prepared(forge, engine, tmp_path)
    scene.write("models/wine/custom/dev/kustomization.yaml", LABEL)
    scene.render()
    first = scene.push()
    install(scene, engine.cluster)
    settle(engine, first)
    scene.move("fraud", challenger="2")
    scene.render()
    second = scene.push()
    wait(lambda: engine.synced("fraud.dev.here", second), "fraud to be in sync", 120)
    assert engine.synced("wine.dev.here", first), "a commit elsewhere does not regenerate it"
    scene.write("models/wine/custom/dev/kustomization.yaml", LABEL.replace("value: b", "value: c"))
    third = scene.push()
    wait(lambda: engine.synced("wine.dev.here", third), "wine to be in sync", 120)
    note("a model with a component is refreshed by its own files, not by every commit")


def test_a_revert_brings_the_old_version_back(forge: Gitea, engine: ArgoCd, tmp_path: Path, note: Note) -> None:
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


def test_a_pin_holds_a_version(forge: Gitea, engine: ArgoCd, tmp_path: Path, note: Note) -> None:
    scene = installed(forge, engine, tmp_path)
    namespace = scene.namespace("dev")
    scene.pin("wine", "dev", 1)
    scene.render()
    scene.push()
    wait(lambda: kserve.version(engine.cluster, namespace, "wine") == "1", "the pinned version", 120)
    scene.move("wine", challenger="3")
    scene.move("fraud", challenger="2")
    scene.render()
    scene.push()
    wait(lambda: kserve.version(engine.cluster, namespace, "fraud") == "2", "the commit with the aliases", 120)
    assert kserve.version(engine.cluster, namespace, "wine") == "1"
    scene.remove("models/wine/model.yaml")
    scene.render()
    scene.push()
    wait(lambda: kserve.version(engine.cluster, namespace, "wine") == "3", "the alias's version", 120)
    note("a pin holds a version while the alias moves; without the pin, the alias's version comes")


def test_a_change_by_hand_is_set_back(forge: Gitea, engine: ArgoCd, tmp_path: Path, note: Note) -> None:
    scene = installed(forge, engine, tmp_path)
    namespace = scene.namespace("dev")
    patch = '{"spec": {"predictor": {"maxReplicas": 9}}}'
    engine.cluster.kubectl("-n", namespace, "patch", "inferenceservice", "wine", "--type=merge", "-p", patch)

    def replicas() -> object:
        served = engine.cluster.get(kserve.service(namespace, "wine"))
        assert served is not None
        return served["spec"]["predictor"]["maxReplicas"]

    begun = time.monotonic()
    wait(lambda: replicas() == 1, "it to be set back", 120)
    note("a change by hand in the cluster is set back", seconds=time.monotonic() - begun)


def test_a_paused_application_stays_paused(forge: Gitea, engine: ArgoCd, tmp_path: Path, note: Note) -> None:
    """The ApplicationSet does not turn its automation on again."""
    scene = installed(forge, engine, tmp_path)
    namespace = scene.namespace("dev")
    engine.command("app", "set", "wine.dev.here", "--sync-policy", "none")
    scene.move("wine", challenger="3")
    scene.move("fraud", challenger="2")
    scene.render()
    scene.push()
    wait(lambda: kserve.version(engine.cluster, namespace, "fraud") == "2", "the other model", 120)
    engine.generate(f"{scene.prefix}-dev")
    wait(lambda: engine.state("wine.dev.here")[0] == "OutOfSync", "the difference to be seen", 120)
    time.sleep(3)
    assert kserve.version(engine.cluster, namespace, "wine") == "2"
    engine.command("app", "set", "wine.dev.here", "--sync-policy", "automated", "--self-heal", "--auto-prune")
    wait(lambda: kserve.version(engine.cluster, namespace, "wine") == "3", "the version that waited", 120)
    note("an Application is paused (--sync-policy none) and stays so; automated again, it takes what waited")


def test_a_fix_is_taken_while_a_sync_retries(forge: Gitea, engine: ArgoCd, tmp_path: Path, note: Note) -> None:
    """A commit that the cluster refuses, then its fix. The comparison makes no object anew, so only the sync fails."""
    scene = installed(forge, engine, tmp_path)
    scene.add("wine", "dev", bad=BAD)
    scene.push()

    def retrying() -> bool:
        state = engine.find("wine.dev.here")["status"].get("operationState", {})
        return bool(state.get("phase") == "Running" and state.get("retryCount", 0) >= 1)

    wait(retrying, "a retry", 120)
    scene.remove("models/wine/custom")
    scene.move("wine", challenger="3")
    scene.render()
    scene.push()
    begun = time.monotonic()
    namespace = scene.namespace("dev")
    wait(lambda: kserve.version(engine.cluster, namespace, "wine") == "3", "the fix", 150)
    note("a fix is pushed while a sync retries: the next retry takes it", seconds=time.monotonic() - begun)
