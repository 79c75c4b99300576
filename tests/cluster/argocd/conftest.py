"""Argo CD, once for each file of tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.cluster.argocd import ArgoCd, argocd
from tests.support.cluster.argocd_fleet import clear
from tests.support.cluster.kubernetes import Cluster


@pytest.fixture(scope="module")
def running(plane: Cluster) -> Iterator[ArgoCd]:
    """Argo CD as its installation starts it."""
    with argocd(plane) as found:
        yield found


@pytest.fixture
def engine(running: ArgoCd) -> Iterator[ArgoCd]:
    """Argo CD with nothing in it."""
    yield running
    clear(running)
