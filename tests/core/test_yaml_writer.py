"""What m2g writes, Kubernetes' own readers take for the same data: the trap corpus through the real tools."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

from m2g import kustomize
from m2g.core.errors import InputError
from m2g.core.manifest import get_at, read_all
from m2g.core.yaml_writer import Plain, dump
from tests.support.yaml_traps import REFUSED, TRAPS

KEYS = tuple(text for text in TRAPS if len(text) < 1000 and text != "<<")
NUMBERS: list[Plain] = [0, 1, -1, 2**31, 2**53, -(2**53), 2**63 - 1, 0.5, -0.25, 1e21, 1e-7, 123456.789]


def through_kustomize(root: Path, value: Plain) -> object:
    """`value` as kustomize gives it back from a file that m2g wrote."""
    item: Plain = {"apiVersion": "example.com/v1", "kind": "Trap", "metadata": {"name": "trap"}, "spec": value}
    root.mkdir(exist_ok=True)
    (root / "trap.yaml").write_text(dump(item))
    (root / "kustomization.yaml").write_text(dump({"resources": ["trap.yaml"]}))
    built = kustomize.build_overlays(root.parent, [root.name])[root.name]
    assert not built.error, built.error
    (found,) = built.objects
    return get_at(found, "spec")


def test_the_corpus_is_large_enough() -> None:
    assert len(TRAPS) >= 129
    assert len(set(TRAPS)) == len(TRAPS)


def test_traps_as_values_come_back_from_kustomize(tmp_path: Path) -> None:
    value: dict[str, Plain] = {f"trap{number}": text for number, text in enumerate(TRAPS)}
    found = through_kustomize(tmp_path / "k", value)
    assert isinstance(found, dict)
    assert {TRAPS[int(key[4:])]: text for key, text in found.items()} == {text: text for text in TRAPS}


def test_traps_in_lists_come_back_from_kustomize(tmp_path: Path) -> None:
    value: Plain = {
        "plain": list(TRAPS),
        "nested": [[text] for text in TRAPS],
        "maps": [{"a": t, "b": t} for t in TRAPS],
    }
    assert through_kustomize(tmp_path / "k", value) == value


def test_traps_as_keys_come_back_from_kustomize(tmp_path: Path) -> None:
    value: dict[str, Plain] = {text: number for number, text in enumerate(KEYS)}
    assert through_kustomize(tmp_path / "k", value) == value


def test_traps_survive_a_patch_by_kustomize(tmp_path: Path) -> None:
    value: dict[str, Plain] = {f"trap{number}": text for number, text in enumerate(TRAPS)}
    root = tmp_path / "k"
    through_kustomize(root, {})
    operations: Plain = [{"op": "add", "path": f"/spec/{key}", "value": text} for key, text in value.items()]
    (root / "patch.yaml").write_text(dump(operations))
    patches: Plain = [{"path": "patch.yaml", "target": {"kind": "Trap"}}]
    (root / "kustomization.yaml").write_text(dump({"resources": ["trap.yaml"], "patches": patches}))
    (item,) = kustomize.build_overlays(tmp_path, ["k"])["k"].objects
    assert get_at(item, "spec") == value


def test_numbers_and_words_keep_their_type(tmp_path: Path) -> None:
    value: dict[str, Plain] = {
        "numbers": NUMBERS,
        "true": True,
        "false": False,
        "null": None,
        "empty": {"map": {}, "list": [], "text": ""},
        "nested": [[], {}, [[]], [{}], {"a": []}],
    }
    found = through_kustomize(tmp_path / "k", value)
    assert found == value
    numbers = get_at(found, "numbers")
    assert isinstance(numbers, list)
    assert [type(item) for item in numbers] == [type(item) for item in NUMBERS]


def test_what_is_written_is_read_back_without_kustomize_too() -> None:
    value: Plain = {"values": list(TRAPS), "keys": {text: text for text in KEYS}}
    assert read_all(dump(value)) == [value]


@pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="kubectl is no tool of this project; kustomize is, and never skipped"
)
def test_kubectl_reads_the_same(tmp_path: Path) -> None:
    """`kubectl label --local` reads with the reader of `kubectl apply`, Argo CD and Flux."""
    data: dict[str, Plain] = {f"trap{number}": text for number, text in enumerate(TRAPS)}
    item: Plain = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "trap"}, "data": data}
    (tmp_path / "trap.yaml").write_text(dump(item))
    done = subprocess.run(
        ["kubectl", "label", "--local", "-o", "json", "-f", "trap.yaml", "a=b"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "KUBECONFIG": "/dev/null", "HOME": str(tmp_path)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["data"] == data


@pytest.mark.parametrize("char", REFUSED, ids=ascii)
def test_characters_that_kustomize_corrupts_are_refused(char: str) -> None:
    for value in ({"a": f"x{char}y"}, {f"k{char}": 1}, [char]):
        with pytest.raises(InputError) as caught:
            dump(value)
        assert f"U+{ord(char):04X}" in caught.value.message
        assert char not in caught.value.message


def test_keys_that_yaml_readers_do_not_take_are_refused(tmp_path: Path) -> None:
    assert through_kustomize(tmp_path / "k", {"k" * 1000: 1, '"' * 499: 2}) == {"k" * 1000: 1, '"' * 499: 2}
    for key in ("k" * 1001, '"' * 500):
        with pytest.raises(InputError, match="characters; YAML"):
            dump({key: 1})


def test_a_key_that_kustomize_drops_is_refused() -> None:
    with pytest.raises(InputError, match="merge"):
        dump({"a": [{"<<": {"b": 1}}]})


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_does_not_know_are_refused(number: float) -> None:
    with pytest.raises(InputError):
        dump({"a": number})


def test_the_same_value_gives_the_same_readable_text() -> None:
    value: Plain = {
        "kind": "InferenceService",
        "on": ["on", 1, {"a": "500m", "b": "2Gi", "c": "a b"}],
        "deep": {"er": [{"x": [1, 2]}, []]},
    }
    assert dump(value) == (
        'kind: InferenceService\n"on":\n- "on"\n- 1\n- a: 500m\n  b: 2Gi\n  c: "a b"\n'
        "deep:\n  er:\n  - x:\n    - 1\n    - 2\n  - []\n"
    )


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]) | st.sampled_from("\n\t"), max_size=20)
KEY = TEXT.filter(lambda text: text != "<<")  # hypothesis tries the words of our code; this one is refused
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(-1e12, 1e12) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEY, inner, max_size=4),
    max_leaves=20,
)


@hypothesis.given(VALUES)
@hypothesis.settings(max_examples=300)
def test_any_value_is_read_back(value: Plain) -> None:
    assert read_all(dump({"value": value})) == [{"value": value}]


def test_many_random_values_come_back_from_kustomize(tmp_path: Path) -> None:
    rounds: list[Plain] = []

    @hypothesis.given(VALUES)
    @hypothesis.settings(max_examples=200)
    def collect(value: Plain) -> None:
        rounds.append(value)

    collect()
    assert through_kustomize(tmp_path / "k", {"values": rounds}) == {"values": rounds}
