"""Any bytes, and good files with faults, at every door: an answer, never a traceback, nothing written elsewhere."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m2g.changes.update import RenderOptions
from m2g.core.errors import M2gError
from tests.support.bombs import crd
from tests.support.doors import TARGETS, feed, put
from tests.support.examples import SHARED_FIXTURES
from tests.support.fleet import FakeRegistry, release, repository, write_record
from tests.support.fleet import run as render
from tests.support.fuzz_seeds import SEEDS

pytestmark = pytest.mark.slow
_WORDS = r"""
~ null yes -0 1e999 .nan .inf 2024-01-01 = !!str !!bool !!omap !!set !x &a *a << ? - { } [ ] ' " \ | >- : , # @ ` % ---
... ../../../etc/passwd /etc/passwd $(id) ${X} "\ud800" \u0000
"""
_TEXTS = ("", "<<: {a: 1}", "&a {b: *a}", "!!str [a]", "!!omap [a: 1]", "{{ x }}", "%YAML 9.9", "a" * 70_000, "[" * 200)
_MORE = ("0x" + "f" * 5_000, "9" * 5_000, *" \t\n\r\0\x85\u2028\ufeff\ud800\U0001f377")
ODD = st.sampled_from([*_WORDS.split(), *_TEXTS, *_MORE])
SETTINGS = settings(max_examples=200, suppress_health_check=SHARED_FIXTURES)


@st.composite
def mutants(draw: st.DrawFn, seed: str) -> bytes:
    """The seed with up to four pieces replaced by odd ones, doubled or cut."""
    text = seed
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        middle = draw(ODD | st.text(max_size=3) | st.just(text[start:end] * 2))
        text = text[:start] + middle + text[end:]
    return text.encode(errors="surrogatepass")


@pytest.mark.parametrize("target", TARGETS)
@SETTINGS
@given(data=st.data())
def test_faults_are_named(tmp_path: Path, target: str, data: st.DataObject) -> None:
    message = feed(target, tmp_path, data.draw(mutants(SEEDS[target])))
    assert len(message) < 2_000


FOUND = {
    "a list as a key": ("model.yaml", b"settings: {minReplicas: 1, [{name: A}]}\n"),
    "a mapping as a key": ("m2g.yaml", b"defaults: {resources, {limits: {a: 1}}}\n"),
    "a key of too many digits": ("m2g.yaml", b"0x" + b"f" * 5_000 + b": 1\n"),
    "a value of too many digits": ("model.yaml", b"settings: {minReplicas: 0x" + b"f" * 5_000 + b"}\n"),
    "a truth that is none": ("policy", b"policies: [!!bool abc]\n"),
    "a list that calls itself text": ("m2g.yaml", b"version: !!str [a]\n"),
    "an ordered mapping": ("policy", b"policies: !!omap [a: 1]\n"),
}


@pytest.mark.attack
@pytest.mark.parametrize("case", FOUND.values(), ids=FOUND)
def test_what_fuzzing_found(tmp_path: Path, case: tuple[str, bytes]) -> None:
    """Each was a traceback once."""
    assert feed("document", tmp_path, case[1])
    feed(case[0], tmp_path, case[1])


def test_a_crd_with_a_number_as_key(tmp_path: Path) -> None:
    feed("crd", tmp_path, crd("{type: object, default: {1: 2}}"))


@pytest.mark.parametrize("target", TARGETS)
@SETTINGS
@given(content=st.binary(max_size=100) | st.text(max_size=100).map(str.encode))
def test_any_bytes(tmp_path: Path, target: str, content: bytes) -> None:
    assert len(feed(target, tmp_path, content)) < 2_000


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


def _replaced(value: object, path: list[int], new: object) -> object:
    """The value with what lies at a path (positions in mappings and lists) replaced."""
    if not path or not isinstance(value, dict | list) or not value:
        return new
    step = path[0] % len(value)
    if isinstance(value, list):
        return [_replaced(item, path[1:], new) if at == step else item for at, item in enumerate(value)]
    return {key: _replaced(item, path[1:], new) if at == step else item for at, (key, item) in enumerate(value.items())}


_LOCKED = RenderOptions(locked=True)
JSON_SEEDS = [json.loads(SEEDS["record"]), json.loads(SEEDS["schema"])]


@pytest.mark.parametrize("target", ["record", "schema"])
@SETTINGS
@given(path=st.lists(st.integers(0, 20), max_size=4), new=VALUES)
def test_values_of_any_type(tmp_path: Path, target: str, path: list[int], new: object) -> None:
    seed = JSON_SEEDS[target == "schema"]
    feed(target, tmp_path, json.dumps(_replaced(seed, path, new), indent=2).encode())


NAMES = st.text(min_size=1, max_size=30) | st.sampled_from(
    [
        "../../x",
        "/etc/x",
        ".",
        "..",
        "a/../../b",
        "con",
        "-rf",
        "~",
        "$HOME",
        "a\nb",
        "`id`",
        "x" * 400,
        "\u202e",
        ".git",
    ]
)


@pytest.mark.attack
@settings(max_examples=40)
@given(name=NAMES, version=NAMES, text=NAMES, slug=st.sampled_from(["wine", "w.x", "a" * 63]))
def test_a_hostile_record_writes_nothing_elsewhere(name: str, version: str, text: str, slug: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        outer = Path(folder)
        root = repository(outer / "in" / "repository")
        put(root, f"models/{slug}/model.yaml", b"")
        try:
            write_record(root, slug, release(name, version=version, follows=text, source=text, artifact_uri=text))
        except UnicodeEncodeError:  # a lone surrogate is in no JSON
            return
        try:
            render(root, FakeRegistry(), _LOCKED)
        except M2gError as error:
            assert error.message
        inside = {path.relative_to(root).parts[0] for path in root.rglob("*")}
        assert inside <= {"m2g.yaml", "models", "fleet", ".m2g"}
        assert {path.relative_to(outer).parts[:2] for path in outer.rglob("*")} <= {("in",), ("in", "repository")}
