"""Overlays that are known to be one object share a process without marks; what they build to is the same as alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from m2g.kustomize import build_overlays
from tests.support.counted_kustomize import counted
from tests.support.handmade_fleet import OVERLAY, PATCH, SERVICE, write

BASE = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [service.yaml]\n"
RENAME = "- {op: replace, path: /metadata/name, value: other}\n"
LIST = "apiVersion: v1\nkind: ConfigMapList\nitems: []\n"
TWO = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: extra}\n---\n"
STRATEGIC = "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: model-3}\n$patch: delete\n"


def fleet(root: Path, size: int) -> list[str]:
    files = {}
    for number in range(size):
        slug = f"model-{number}"
        files[f"models/{slug}/base/kustomization.yaml"] = BASE
        files[f"models/{slug}/base/service.yaml"] = SERVICE.format(slug=slug)
        for env in ("dev", "prod"):
            files[f"models/{slug}/overlays/{env}/kustomization.yaml"] = OVERLAY.format(env=env)
            files[f"models/{slug}/overlays/{env}/patch.yaml"] = PATCH.format(slug=slug, version=number)
    write(root, files)
    return [f"models/model-{number}/overlays/{env}" for number in range(size) for env in ("dev", "prod")]


@pytest.mark.usefixtures("kustomize")
def test_no_more_processes_than_there_are_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = fleet(tmp_path / "repository", 80)
    log = counted(tmp_path, monkeypatch)
    built = build_overlays(tmp_path / "repository", folders)
    assert log.read_text().count("\n") == 2  # 160 overlays, 150 to a process
    assert list(built) == folders
    assert {(folder, len(one.objects), one.error) for folder, one in built.items()} == {(f, 1, "") for f in folders}
    for folder in (folders[0], folders[77], folders[159]):
        assert built[folder] == build_overlays(tmp_path / "repository", [folder])[folder]


@pytest.mark.usefixtures("kustomize")
@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("overlays/prod/patch.yaml", RENAME),
        ("overlays/prod/patch.yaml", "- {op: replace, path: /metadata/namespace, value: other}\n"),
        ("overlays/prod/patch.yaml", STRATEGIC),
        ("overlays/prod/kustomization.yaml", OVERLAY.format(env="prod").replace("namespace: models-prod\n", "")),
        ("overlays/prod/kustomization.yaml", OVERLAY.format(env="prod").replace("models-prod", "models-dev")),
        ("base/service.yaml", SERVICE.format(slug="model-3").replace("metadata:\n", "metadata:\n  namespace: own\n")),
        ("base/service.yaml", LIST),
        ("base/service.yaml", TWO + SERVICE.format(slug="model-3")),
        ("base/service.yaml", ""),
        ("overlays/prod/patch.yaml", "- {op: remove, path: /spec/nothing}\n"),
    ],
)
def test_what_breaks_the_rule_of_one_is_told_apart_all_the_same(tmp_path: Path, file: str, text: str) -> None:
    folders = fleet(tmp_path, 6)
    (tmp_path / "models/model-3" / file).write_text(text)
    together = build_overlays(tmp_path, folders)
    assert together == {folder: build_overlays(tmp_path, [folder])[folder] for folder in folders}
