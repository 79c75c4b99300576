"""Collected only when asked for (`make forge`): these tests need a Gitea, which takes minutes to build."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.gitea import Gitea, gitea

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from tests.support.serve_world import World


def pytest_configure(config: pytest.Config) -> None:
    """Said here, since nothing outside this folder carries the mark."""
    config.addinivalue_line("markers", "forge: needs Gitea; run by `make forge`")


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Whether this folder is left out: neither `-m forge` nor its path was given."""
    asked = [str(config.getoption("markexpr", "")), *(str(one) for one in config.args)]
    return None if any("forge" in one for one in asked) else True


@pytest.fixture(scope="session")
def forge() -> Iterator[Gitea]:
    """One forge for all tests; each has users of its own."""
    with gitea() as found:
        yield found


@pytest.fixture(scope="session")
def registry() -> Iterator[MlflowClient]:
    """An MLflow server that may call private addresses; it has two versions of `wine`."""
    from tests.support.serve_world import open_registry

    with open_registry() as found:
        yield found


@pytest.fixture
def world(forge: Gitea, registry: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A repository on Gitea, and the way to start `m2g serve` for it. Version 1 of `wine` is the champion."""
    from tests.support import serve_world

    monkeypatch.setenv("NO_PROXY", "*")
    registry.set_registered_model_alias("wine", "champion", "1")
    made = serve_world.World(forge, registry, tmp_path)
    yield made
    try:
        made.stop()
    finally:
        for hook in registry.list_webhooks():
            registry.delete_webhook(hook.webhook_id)
