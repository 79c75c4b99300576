"""Whatever is done to a right manifest in one place is found in that place, and nothing that is done crashes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from m2g.core.field_path import format_path
from m2g.validation.schemas import Catalogue
from tests.support import manifests
from tests.support.manifests import GONE, Manifest

CATALOGUE = Catalogue()
MANIFESTS = [manifest for name in manifests.names() for manifest in manifests.manifests(name)]
# Maps whose keys are people's own, and parts that are left open.
OPEN = {
    "annotations", "config", "data", "limits", "requests", "labels", "literals", "matchLabels", "nodeSelector", "nodes",
    "openapi", "options", "pairs", "parameters", "commonAnnotations", "commonLabels", "valuesInline", "capacity",
    "status", "gateway", "route", "scheduler", "wva", "a",
}  # fmt: skip
ODD = st.sampled_from(
    [None, True, 0, -1, 1.5, 2**40, 2**70, "", "x", "1 GB", "{{ .x }}", [], [None], {}, {"": 1}, "\x00é"]
)


def _places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from _places(inner, (*path, key))


def _inside(manifest: Manifest, path: tuple[str | int, ...]) -> Any:
    value: Any = manifest
    for step in path:
        value = value[step]
    return value


@st.composite
def _somewhere(draw: st.DrawFn) -> tuple[Manifest, tuple[str | int, ...]]:
    manifest = draw(st.sampled_from(MANIFESTS))
    return manifest, draw(st.sampled_from(sorted(_places(manifest), key=str)))


@given(_somewhere(), st.text("abcxyzABC", min_size=4, max_size=8))
def test_an_unknown_field_is_found_in_every_closed_mapping(
    spot: tuple[Manifest, tuple[str | int, ...]], name: str
) -> None:
    manifest, path = spot
    if (
        isinstance(_inside(manifest, path), dict)
        and path[-1] not in OPEN
        and not OPEN & set(path[:-1]) - {"a", "nodes"}
    ):
        field = f"m2g{name}"
        found = CATALOGUE.find_violations(manifests.changed(manifest, [*path, field], "x"), kserve="0.21")
        assert [violation.path for violation in found] == [format_path([*path, field])]


@given(_somewhere())
def test_a_list_where_text_or_a_number_belongs_is_found(spot: tuple[Manifest, tuple[str | int, ...]]) -> None:
    manifest, path = spot
    if not isinstance(_inside(manifest, path), dict | list) and "valuesInline" not in path:
        found = CATALOGUE.find_violations(manifests.changed(manifest, path, [["x"]]), kserve="0.21")
        assert format_path(path) in [violation.path for violation in found]


@given(_somewhere(), st.one_of(ODD, st.just(GONE)))
def test_nothing_that_is_written_crashes_and_each_violation_has_words(
    spot: tuple[Manifest, tuple[str | int, ...]], value: object
) -> None:
    manifest, path = spot
    for violation in CATALOGUE.find_violations(manifests.changed(manifest, path, value), kserve="0.21"):
        assert violation.message
        assert violation.path
