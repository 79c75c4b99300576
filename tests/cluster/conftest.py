"""Collected only when asked for (`make cluster`): these tests need programs that take half an hour to build."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests.support.cluster import outcome
from tests.support.cluster.kubernetes import Cluster, control_plane
from tests.support.cluster.webhook import mutating
from tests.support.gitea import Gitea, gitea
from tests.support.paths import ROOT

ENGINES = {"flux": "Flux", "argocd": "Argo CD"}
"""Folder of the tests → what they run, where its name is another one."""


def pytest_configure(config: pytest.Config) -> None:
    """Said here, since nothing outside this folder carries the mark."""
    config.addinivalue_line("markers", "cluster: needs Argo CD, Flux and Gitea; run by `make cluster`")


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Whether this folder is left out: neither `-m cluster` nor its path was given."""
    here = Path(__file__).parent
    given = [(ROOT / str(one).partition("::")[0]).is_relative_to(here) for one in config.args]
    return None if "cluster" in str(config.getoption("markexpr", "")) or any(given) else True


@pytest.fixture(scope="session")
def forge() -> Iterator[Gitea]:
    """One forge for all tests; each has a repository of its own."""
    with gitea() as found:
        yield found


@pytest.fixture(scope="session")
def plane() -> Iterator[Cluster]:
    """One cluster for all tests; each has namespaces of its own. A webhook does what KServe's does."""
    with control_plane() as cluster, mutating(cluster):
        yield cluster


class Note(Protocol):
    """Keep what a scenario found, with figures by name."""

    def __call__(self, scenario: str, result: str = "as promised", **figures: float | str) -> None: ...


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Note:
    """Write the record of this test. The one of an earlier run goes first, so that a failure leaves none."""
    folder, name = request.node.path.parent.name, request.node.name
    engine = ENGINES.get(folder, folder)
    outcome.forget(engine, name)

    def keep(scenario: str, result: str = "as promised", **figures: float | str) -> None:
        texts = {
            key.replace("_", " "): f"{value:.1f}" if isinstance(value, float) else str(value)
            for key, value in figures.items()
        }
        outcome.write(engine, name, outcome.Record(scenario=scenario, result=result, figures=texts))

    return keep
