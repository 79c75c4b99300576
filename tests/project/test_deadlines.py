"""Deadlines grow with the machine's slowness, and property tests end in time."""

from __future__ import annotations

import types

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.support import examples, machine


@pytest.mark.parametrize(
    ("waited", "worked", "load", "expected"),
    [
        (0.5, 0.5, 0.1, 1),  # a faster machine gains nothing
        (3, 1, 0.1, 3),  # slow when the tests began
        (1, 1, 8, 8),  # busy now
        (8, 1, 8, 8),  # busy from the beginning: counted once
        (1, 4, 2, 8),  # slow and busy
        (10, 10, 1000, machine.MOST),
    ],
)
def test_deadlines_scale(
    monkeypatch: pytest.MonkeyPatch, waited: float, worked: float, load: float, expected: float
) -> None:
    monkeypatch.setattr(machine, "_measured", lambda: (waited, worked))
    monkeypatch.setattr(machine, "_load", lambda: load)
    assert machine.seconds(10) == 10 * expected
    assert machine.whole_seconds(10) == f"{10 * expected:.0f}"


def test_pytest_s_own_timeout_scales(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("timeout") is None:
        mark = request.node.get_closest_marker("timeout")
        assert mark.args[0] >= float(request.config.getini("timeout"))


def test_examples_end_in_time(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    tried: list[int] = []

    @given(st.integers())
    def test(number: int) -> None:
        assume(number % 2 == 0)
        tried.append(number)

    run(test, monkeypatch, request, 60)
    assert len(tried) == 100
    tried.clear()
    run(test, monkeypatch, request, 0)
    assert 0 < len(tried) <= examples.LEAST


def test_what_has_failed_is_made_small_all_the_same(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    @given(st.integers(min_value=1000))
    def test(number: int) -> None:
        raise ValueError(number)

    with pytest.raises(ValueError) as raised:  # noqa: PT011  # the number is the message
        run(test, monkeypatch, request, 0)
    assert raised.value.args == (1000,)


def run(test: object, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, time: float) -> None:
    """A property test that has so many seconds."""
    monkeypatch.setattr(examples, "SECONDS", time)
    item = types.SimpleNamespace(obj=test)
    with examples.bounded(item):  # type: ignore[arg-type]  # only what it looks at
        assert callable(test)
        test()
