"""`m2g` alone: each state of a folder has its next step, and every step is a command that exists."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from m2g.cli import group
from m2g.commands.next_steps import find_next_steps
from tests.support.fleet import CONFIG, release, repository, write_record

UNNAMED = CONFIG.replace('registry: {uri: "http://mlflow.test"}\n', "")


@pytest.fixture(autouse=True)
def no_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_REGISTRY_URI", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)


def firsts(folder: Path) -> list[str]:
    commands = [command for command, _ in find_next_steps(folder).commands]
    for command in commands:
        program, *words = shlex.split(command)
        assert program == "export" or (program == "m2g" and words[0] in group.commands), command
    return commands


def test_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert firsts(tmp_path) == [
        "export MLFLOW_TRACKING_URI=https://mlflow.example.com",
        "m2g assess",
        "m2g init my-models",
    ]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.test")
    assert firsts(tmp_path)[0] == "m2g assess"


def test_a_repository_without_models(tmp_path: Path) -> None:
    assert firsts(repository(tmp_path / "named")) == ["m2g assess", "m2g render"]
    assert firsts(repository(tmp_path / "unnamed", UNNAMED))[0].startswith("export ")


def test_a_repository_with_models(tmp_path: Path) -> None:
    root = repository(tmp_path)
    write_record(root, "wine", release(environment="prod"))
    write_record(root, "wine", release(environment="dev"))
    write_record(root, "beer", release("beer", environment="dev"))
    assert find_next_steps(root / "models").where == "2 models: 2 in dev, 1 in prod."
    assert firsts(root)[0] == "m2g render --dry-run"


def test_a_broken_repository(tmp_path: Path) -> None:
    assert firsts(repository(tmp_path, "version: 1\nenvironments: 3\n")) == ["m2g validate"]
