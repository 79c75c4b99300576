"""Collected only when asked for (`make cluster`): these tests need programs that take half an hour to build."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests.support.cluster import outcome
from tests.support.cluster.forge import Forge, gitea
from tests.support.cluster.git_server import git_server
from tests.support.cluster.programs import ASSETS

ENGINES = {"flux": "Flux", "argocd": "Argo CD", "both": "both"}


def pytest_configure(config: pytest.Config) -> None:
    """Said here, since nothing outside this folder carries the mark."""
    config.addinivalue_line("markers", "cluster: needs Argo CD, Flux and Gitea; run by `make cluster`")


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Whether this folder is left out: neither `-m cluster` nor its path was given."""
    asked = [str(config.getoption("markexpr", "")), *(str(one) for one in config.args)]
    return None if any("cluster" in one for one in asked) else True


@pytest.fixture(scope="session", autouse=True)
def programs() -> Path:
    """The folder with the programs; never a skip."""
    wanted = "kubectl kube-controller-manager source-controller kustomize-controller argocd redis".split()
    missing = [name for name in wanted if not os.access(ASSETS / "bin" / name, os.X_OK)]
    if missing:
        pytest.fail(f"{', '.join(missing)} not in .tools/cluster/bin; `make cluster` builds them", pytrace=False)
    return ASSETS


@pytest.fixture(scope="session")
def forge() -> Iterator[Forge]:
    """One forge for all tests; each has a repository of its own. Without Gitea it is Git's own server."""
    built = (ASSETS / "bin/gitea").exists()
    outcome.start("Gitea 1.26" if built else "a Git server")
    with gitea() if built else git_server() as found:
        yield found


class Note(Protocol):
    """Keep what a scenario found, with figures by name."""

    def __call__(self, scenario: str, result: str = "as promised", **figures: float | str) -> None: ...


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Note:
    """Write the record of this test."""
    module, name = request.node.path.stem.removeprefix("test_"), request.node.name

    def keep(scenario: str, result: str = "as promised", **figures: float | str) -> None:
        texts = {
            key.replace("_", " "): f"{value:.1f}" if isinstance(value, float) else str(value)
            for key, value in figures.items()
        }
        record = outcome.Record(scenario=scenario, engine=ENGINES[module], result=result, figures=texts)
        outcome.write(f"{module}-{name}", record)

    return keep
