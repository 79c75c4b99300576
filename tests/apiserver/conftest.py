"""Collected only when asked for (`make apiserver`): these tests need programs that take minutes to build."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.apiserver.server import ASSETS
from tests.support.apiserver.validators import Validators, start_both


def pytest_configure(config: pytest.Config) -> None:
    """Said here, since nothing outside this folder carries the mark."""
    config.addinivalue_line("markers", "apiserver: needs etcd and kube-apiserver; run by `make apiserver`")


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Whether this folder is left out: neither `-m apiserver` nor its path was given."""
    asked = [str(config.getoption("markexpr", "")), *(str(one) for one in config.args)]
    return None if any("apiserver" in one for one in asked) else True


@pytest.fixture(scope="session")
def programs() -> Path:
    """The folder with etcd and kube-apiserver; never a skip."""
    missing = [name for name in ("etcd", "kube-apiserver") if not os.access(ASSETS / name, os.X_OK)]
    if missing:
        pytest.fail(f"{' and '.join(missing)} not in .tools/apiserver; `make apiserver` builds them", pytrace=False)
    return ASSETS


@pytest.fixture(scope="module")
def validators(request: pytest.FixtureRequest, programs: Path) -> Iterator[Validators]:
    """A server and our schemas for the KServe version that is the parameter; one server at a time."""
    assert programs.is_dir()
    kserve: str = request.param
    with start_both(kserve) as found:
        yield found
