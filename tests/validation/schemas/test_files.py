"""The schema files are what their lock says, strict at every level, and small."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from m2g.core import resources

FOLDER = resources.find_root() / "schemas"
FILES = sorted(
    path.relative_to(FOLDER).as_posix() for path in [*FOLDER.glob("*.*.json"), *FOLDER.glob("serving.kserve.io/*.json")]
)
LOCK = {entry["name"]: entry for entry in json.loads((FOLDER / "lock.json").read_text())["files"]}

WRITTEN = {"mlops.seldon.io.json"}
"""By us, from the API references; all others are derived from something pinned."""


def test_the_lock_names_every_file() -> None:
    assert set(LOCK) == {*FILES, "common.json"}


@pytest.mark.parametrize("name", sorted(LOCK))
def test_a_file_is_the_one_that_is_locked(name: str) -> None:
    digest = hashlib.sha256((FOLDER / name).read_bytes()).hexdigest()
    assert digest == LOCK[name]["sha256"], "run `make schemas`; nobody edits a derived file"


@pytest.mark.parametrize("name", FILES)
def test_a_derived_file_says_where_it_is_from(name: str) -> None:
    assert bool(LOCK[name]["sources"]) != (name in WRITTEN)
    for source in LOCK[name]["sources"]:
        assert re.fullmatch(r"[0-9a-f]{64}|h1:[A-Za-z0-9+/]{43}=", source["sha256"])
        assert re.match(r"v?\d", source["version"])


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_a_small_valid_schema_that_needs_no_other(name: str) -> None:
    text = (FOLDER / name).read_text()
    schema = json.loads(text)
    assert len(text) < 512 * 1024
    jsonschema_rs.meta.validate(schema)
    references = set(re.findall(r'"#/\$defs/([^"]+)"', text))
    assert references | set(schema["x-kinds"].values()) == set(schema["$defs"]), "unused or missing definitions"


@pytest.mark.parametrize("name", FILES)
def test_every_mapping_with_fields_refuses_others(name: str) -> None:
    for place, mapping in _mappings(json.loads((FOLDER / name).read_text())["$defs"], ""):
        assert mapping.get("additionalProperties") is False, place


@pytest.mark.parametrize("name", FILES)
def test_every_number_has_a_range(name: str) -> None:
    for place, number in _with(json.loads((FOLDER / name).read_text())["$defs"], "", "integer"):
        assert {"minimum", "maximum"} <= number.keys(), place


def _mappings(schema: Any, place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for inner, found in _with(schema, place, "object"):
        if "properties" in found:
            yield inner, found


def _with(schema: Any, place: str, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, list):
        schema = dict(enumerate(schema))
    if isinstance(schema, dict):
        if schema.get("type") == kind:
            yield place, schema
        for key, inner in schema.items():
            yield from _with(inner, f"{place}/{key}", kind)
