"""Property tests try as many examples as they have time for, so that a slow machine tries fewer."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck

SHARED_FIXTURES = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow)
"""Health checks that do not hold where the examples of a test share its fixtures on purpose; see conftest.py."""
SECONDS = 20.0
LEAST = 5
"""Examples that are tried however long they take."""


@contextlib.contextmanager
def bounded(item: pytest.Item) -> Iterator[None]:
    """While the block runs, a property test passes what it is given after `SECONDS`; other tests are left alone."""
    handle = getattr(getattr(item, "obj", None), "hypothesis", None)
    if handle is None:
        yield
        return
    inner = handle.inner_test
    handle.inner_test = _bounded(inner)
    try:
        yield
    finally:
        handle.inner_test = inner


def _bounded(test: Callable[..., None]) -> Callable[..., None]:
    """What has failed once is always run again: Hypothesis looks for the smallest example."""
    end = time.monotonic() + SECONDS
    tried = 0
    failed = False

    @functools.wraps(test)
    def run(*arguments: object, **named: object) -> None:
        nonlocal tried, failed
        tried += 1
        drawn = "data" in named  # st.data(): an example that draws must draw, else Hypothesis calls the test flaky
        if tried > LEAST and not failed and not drawn and time.monotonic() > end:
            return
        try:
            test(*arguments, **named)
        except Exception as error:
            failed = failed or not type(error).__module__.startswith("hypothesis.")  # assume() raises, too
            raise

    return run
