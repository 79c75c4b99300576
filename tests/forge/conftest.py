"""Collected only when asked for (`make forge`): these tests need a Gitea, which takes minutes to build."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.gitea import Gitea, gitea


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
