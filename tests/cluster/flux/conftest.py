"""Flux, anew for each test: a health check that still waits would hold one of its four places."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.cluster.flux import Flux, flux
from tests.support.cluster.kubernetes import Cluster


@pytest.fixture
def engine(plane: Cluster) -> Iterator[Flux]:
    """Flux as its installation starts it, with nothing in it."""
    with flux(plane) as found:
        yield found
        found.clear()
