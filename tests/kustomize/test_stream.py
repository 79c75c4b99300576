"""Overlays are built while others are read, in no more processes than they fill; nothing is lost or built twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from m2g import kustomize
from m2g.kustomize import batches
from m2g.kustomize.graph import Graph, GraphReader
from tests.support.counted_kustomize import counted
from tests.support.handmade_fleet import component, model, write

SIZE = 12


def fleet(root: Path) -> list[str]:
    for number in range(SIZE):
        write(root, model(f"model-{number}", dev=1, prod=1, staging=1))
    component(root, "model-3", "dev", "kind: Component\nresources: [https://example.com/x]\n")
    return [f"models/model-{number}/overlays/{env}" for number in range(SIZE) for env in ("dev", "prod", "staging")]


def test_processes_are_full_and_every_overlay_comes_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = fleet(tmp_path / "repository")
    log = counted(tmp_path, monkeypatch)
    monkeypatch.setattr(batches, "BATCH_SIZE", 4)
    built = [one for batch in kustomize.stream_builds(tmp_path / "repository", folders) for one in batch]
    assert sorted(one.folder for one in built) == sorted(folders)
    assert [one.folder for one in built if one.error] == ["models/model-3/overlays/dev"]
    assert log.read_text().count("\n") == 9  # 35 overlays can be built, 4 to a process


def test_the_first_is_there_before_the_last_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "BATCH_SIZE", 1)
    monkeypatch.setattr("m2g.kustomize.build.os.cpu_count", lambda: 1)
    folders = fleet(tmp_path)
    taken: list[str] = []
    steps: list[tuple[int, int]] = []

    def reading() -> Iterator[str]:
        for folder in folders:
            taken.append(folder)
            yield folder

    coming = kustomize.stream_builds(
        tmp_path, reading(), progress=lambda what, done, total: steps.append((done, total))
    )
    assert next(coming)
    assert len(taken) <= 3
    assert sum(map(len, coming)) == len(folders) - 1
    assert steps[0] == (1, 0)  # how many there are is not known yet
    assert steps[-1] == (len(folders), len(folders))


def test_who_stops_asking_stops_the_building(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = fleet(tmp_path / "repository")
    log = counted(tmp_path, monkeypatch)
    monkeypatch.setattr(batches, "BATCH_SIZE", 1)
    monkeypatch.setattr("m2g.kustomize.build.os.cpu_count", lambda: 1)
    coming = kustomize.stream_builds(tmp_path / "repository", folders)
    next(coming)
    coming.close()
    assert log.read_text().count("\n") <= 4


def test_overlays_that_build_the_same_object_share_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = fleet(tmp_path / "repository")
    for file in (tmp_path / "repository").glob("models/*/overlays/*/kustomization.yaml"):
        file.write_text(file.read_text().replace(f"models-{file.parent.name}", "models"))
    log = counted(tmp_path, monkeypatch)
    monkeypatch.setattr(batches, "BATCH_SIZE", 4)
    built = [one for batch in kustomize.stream_builds(tmp_path / "repository", folders) for one in batch]
    assert sorted(one.folder for one in built) == sorted(folders)
    assert [one.folder for one in built if one.error] == ["models/model-3/overlays/dev"]
    assert log.read_text().count("\n") == 9  # three environments of 12, 4 to a process; one overlay is not built


def test_no_more_than_some_batches_are_held_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "BATCH_SIZE", 4)
    monkeypatch.setattr(batches, "_MAX_WAITING", 8)
    folders = fleet(tmp_path)
    for file in tmp_path.glob("models/*/overlays/*/kustomization.yaml"):
        file.write_text(file.read_text().replace(f"models-{file.parent.name}", "models"))
    taken = 0

    def graphs() -> Iterator[Graph]:
        nonlocal taken
        reader = GraphReader(tmp_path)
        for folder in folders:
            taken += 1
            yield reader.read(folder)

    built = 0
    for batch in batches.make_batches(graphs()):
        built += len(batch)
        assert taken - built <= 8
    assert built == len(folders)


def test_a_process_starts_when_enough_models_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "BATCH_SIZE", 6)
    write(tmp_path, model("model-0", dev=1, prod=1, staging=1) | model("model-1", dev=1, prod=1, staging=1))
    folders = [f"models/model-{number}/overlays/{env}" for number in range(2) for env in ("dev", "prod", "staging")]
    assert [
        [graph.folder for graph in batch] for batch in batches.make_batches(map(GraphReader(tmp_path).read, folders))
    ] == [folders]
