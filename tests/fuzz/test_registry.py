"""Any answer of a server: facts, or an error that m2g shows; and in bounded time."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m2g.core.errors import M2gError
from m2g.core.model import ModelVersion
from m2g.registry import Registry, open_registry
from tests.support.bombs import BOMBS
from tests.support.fake_server import Answer, Asked, fake
from tests.support.machine import seconds

KEYS = (
    "registered_models model_versions registered_model name version creation_timestamp source run_id status tags "
    "aliases stage key value alias next_page_token runs run info data inputs outputs metrics params experiments "
    "experiment_id artifact_uri model model_id files path root_uri dataset_inputs dataset digest message"
).split()
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(
        ["NaN", "-Infinity", "READY", "1", "99999999999999999999", "m2g", "../x", 2**63, 2**64 - 1, -1, "x" * 9_000]
    )
)
OBJECTS = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=12,
)
ENTRY = st.fixed_dictionaries(
    {"name": LEAVES | st.just("wine"), "version": LEAVES | st.just("1"), "creation_timestamp": LEAVES | st.just(1)},
    optional={"tags": OBJECTS, "aliases": OBJECTS, "source": OBJECTS, "run_id": OBJECTS, "current_stage": OBJECTS},
)
ANSWERS = OBJECTS | st.dictionaries(
    st.sampled_from(["registered_models", "model_versions"]), st.lists(ENTRY, max_size=2), min_size=1
)
_VERSION = ModelVersion(name="wine", version="1", source="runs:/r/model", created_at=1, run_id="r")


class Server:
    """Answers everything with the same bytes."""

    def __init__(self) -> None:
        self.body = b""
        self.registry: Registry

    def script(self, _asked: Asked) -> Answer:
        return Answer(body=self.body)

    def ask(self, body: bytes) -> None:
        """All questions that render asks; each may only fail as m2g shows it."""
        self.body = body
        registry = self.registry
        for question in (registry.list_models, registry.list_versions, lambda: registry.find_model("wine"), self.facts):
            try:
                question()
            except M2gError as error:
                assert 0 < len(error.message) < 3_000

    def facts(self) -> object:
        return self.registry.read_facts([_VERSION])


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server()
    with fake(made.script) as running:
        made.registry = open_registry(running.url, patience=seconds(0.5))
        yield made


@settings(max_examples=60)
@given(answer=ANSWERS)
def test_any_json(server: Server, answer: object) -> None:
    try:
        body = msgspec.json.encode(answer)
    except (msgspec.ValidationError, UnicodeEncodeError, OverflowError):
        return
    server.ask(body)


@settings(max_examples=30)
@given(body=st.binary(max_size=80) | st.text('{}[]",:0123456789eE+-.naIultrfs \\u', max_size=60).map(str.encode))
def test_any_bytes(server: Server, body: bytes) -> None:
    server.ask(body)


@pytest.mark.parametrize(
    "name", [name for name in BOMBS if "JSON" in name or name in ("mappings in mappings", "zeros")]
)
def test_bombs(server: Server, name: str) -> None:
    server.ask(BOMBS[name])
    server.ask(b'{"registered_models": [{"name": "x", "tags": ' + BOMBS[name] + b"}]}")
    server.ask(b'{"model_versions": [{"name": "x", "version": "1", "creation_timestamp": ' + b"9" * 900_000 + b"}]}")
