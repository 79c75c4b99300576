"""No object makes a rule fail: whatever people's YAML says, the answer is findings."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m2g.core.config_types import External
from m2g.core.field_path import parse_path
from m2g.validation import rules
from m2g.validation.rules import COMPONENT, CheckedObject
from tests.support.corpus import Case, cases
from tests.support.rule_objects import service

pytestmark = pytest.mark.slow

CASES = cases()
KEYS = (
    st.text(max_size=8) | st.sampled_from(["name", "value", "env", "${X}", "{{", "steps"]) | st.integers() | st.none()
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["1e99999", "s3:", "/"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)


def places(node: object, here: tuple[object, ...] = ()) -> Iterator[tuple[object, ...]]:
    yield here
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield from places(value, (*here, key))


def replaced(item: object, place: tuple[object, ...], value: object) -> object:
    if not place:
        return value
    whole: Any = copy.deepcopy(item)
    node = whole
    for step in place[:-1]:
        node = node[step]
    node[place[-1]] = value
    return whole


def check(item: object, *, other: object = None) -> None:
    if not isinstance(item, dict):
        return
    overlay = (item, other) if isinstance(other, dict) else (item,)
    nothing = External(service_accounts=(), serving_runtimes=(), config_maps=(), secrets=())
    for around in (None, overlay):
        before = other if isinstance(other, dict) else service()
        subject = CheckedObject(
            manifest=item, kserve="0.21", overlay=around, external=nothing, before=before, substituted=True
        )
        for finding in rules.check(subject):
            assert isinstance(finding.message, str)
            parse_path(finding.path)


@settings(max_examples=400)
@given(st.sampled_from(CASES), st.randoms(use_true_random=False), VALUES)
def test_a_manifest_with_anything_anywhere(case: Case, random: Any, value: object) -> None:
    place = random.choice(list(places(case.manifest)))
    check(replaced(case.manifest, place, value), other=case.manifest)
    check(case.manifest, other=replaced(case.manifest, place, value))


@settings(max_examples=100)
@given(
    st.dictionaries(st.sampled_from(["patches", "images", "replicas", "namePrefix", "patchesStrategicMerge"]), VALUES)
)
def test_a_component_with_anything(data: dict[str, object]) -> None:
    check({"kind": COMPONENT, **data}, other=service())


@pytest.mark.parametrize(
    "piece",
    ["a.", "eyJ-", "${a", "{{", "{{ ", "0-", "a:b@", "s://a:", "-----BEGIN A", "1234567a", "/v2/models/", "kbs:///a/"],
)
def test_no_text_takes_long(piece: str) -> None:
    """A file may have a megabyte; no expression of ours may need its square."""
    text = piece * ((1 << 20) // len(piece))
    item = service()
    for path in ("metadata.annotations.a", "spec.predictor.model.storageUri", "spec.predictor.model.image"):
        item = replaced(item, parse_path(path), text)  # type: ignore[assignment]  # what is replaced lies inside
    env = [{"name": "TOKEN", "value": text}, {"name": text, "value": text}]
    item = replaced(item, ("spec", "predictor", "model", "env"), env)  # type: ignore[assignment]  # as above
    started = time.process_time()
    check(item)
    assert time.process_time() - started < 5
