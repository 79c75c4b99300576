"""Collected only when asked for (`make cluster`): these tests need programs that take half an hour to build."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster.forge import Forge, gitea
from tests.support.cluster.kubernetes import Cluster, control_plane
from tests.support.cluster.programs import ASSETS, LOGS


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
    wanted = "kubectl kube-controller-manager source-controller kustomize-controller argocd redis gitea".split()
    missing = [name for name in wanted if not os.access(ASSETS / "bin" / name, os.X_OK)]
    if missing:
        pytest.fail(f"{', '.join(missing)} not in .tools/cluster/bin; `make cluster` builds them", pytrace=False)
    return ASSETS


@pytest.fixture(scope="session")
def forge() -> Iterator[Forge]:
    """One Gitea for all tests; each has a repository of its own."""
    with gitea() as found:
        yield found


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A cluster of the test's own. The logs of its programs are kept, unless the test passes."""
    shutil.rmtree(LOGS, ignore_errors=True)
    with control_plane() as found:
        yield found
    if request.session.testsfailed:
        shutil.copytree(LOGS, LOGS.with_name(f"{LOGS.name}-{request.node.name}"), dirs_exist_ok=True)
