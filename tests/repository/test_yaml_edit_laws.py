"""Laws of edits, on generated documents in mixed styles: the data is what the edit says, all other lines stay."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m2g.core import yaml_reader
from m2g.core.yaml_writer import Plain
from m2g.repository.yaml_edit import Add, Edit, Remove, Set, edit_yaml
from tests.support.yaml_documents import Path, Written, documents

pytestmark = pytest.mark.slow

EXAMPLES = settings(max_examples=100)
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
)
WORDS = st.sampled_from(
    ["on", "y", "1e3", "08", "0x1f", "a: b", "# x", "- a", "é\n", "{", "2024-01-01", "", "~", "a:b", "%x"]
)
TEXTS = WORDS | st.text(st.characters(exclude_categories=["C"]), max_size=8)
KEYS = TEXTS.filter(lambda text: text != "<<")
VALUES: st.SearchStrategy[Plain] = st.recursive(
    SCALARS | TEXTS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=6
)


def read(content: bytes) -> object:
    return yaml_reader.read("f.yaml", content).data or {}


def places(data: object, path: Path = ()) -> Iterator[tuple[Path, object]]:
    yield path, data
    if isinstance(data, dict | list):
        for step, item in data.items() if isinstance(data, dict) else enumerate(data):
            yield from places(item, (*path, step))


def given_new(data: object, path: Path, value: object) -> object:
    """The model of Set."""
    if not path:
        return value
    if isinstance(data, list):
        return [given_new(item, path[1:], value) if n == path[0] else item for n, item in enumerate(data)]
    fields = dict(data) if isinstance(data, dict) else {}
    fields[path[0]] = given_new(fields.get(path[0]), path[1:], value)
    return fields


def taken(data: object, path: Path, prune: bool) -> tuple[object, Path]:
    """The model of Remove, and what of the text it may touch."""
    around = dict(places(data))
    while prune and len(path) > 1 and isinstance(path[-1], str) and isinstance(path[-2], str):
        siblings = around[path[:-1]]
        assert isinstance(siblings, dict)
        if len(siblings) > 1:
            break
        path = path[:-1]
    parent = around[path[:-1]]
    if isinstance(parent, dict):
        rest: object = {key: item for key, item in parent.items() if key != path[-1]}
    else:
        assert isinstance(parent, list)
        rest = [item for number, item in enumerate(parent) if number != path[-1]]
    return given_new(data, path[:-1], rest), path if rest else path[:-1]


class Case(msgspec.Struct, kw_only=True):
    """A document, an edit that fits, what the data is after it, and the place that it may touch."""

    document: Written
    before: object
    edit: Edit
    expected: object
    touched: Path


@st.composite
def cases(draw: st.DrawFn) -> Case:
    document = draw(documents())
    before = read(document.content)
    known = dict(places(before))
    path = draw(st.sampled_from(list(known)))
    value = draw(VALUES)
    edit: Edit
    match draw(st.sampled_from(["set", "new", "add", "remove"])):
        case "set" if path:
            edit, expected, touched = Set(path=path, value=value), given_new(before, path, value), path
        case "remove" if path:
            edit = Remove(path=path, prune=draw(st.booleans()))
            expected, touched = taken(before, path, edit.prune)
        case "add":
            lists = [path for path, found in known.items() if isinstance(found, list)]
            path = draw(st.sampled_from(lists)) if lists else ("a new", "list")
            old = known.get(path, [])
            assert isinstance(old, list)
            edit, expected, touched = Add(path=path, value=value), given_new(before, path, [*old, value]), path
        case _:
            path = draw(new_fields(known, [path for path, found in known.items() if isinstance(found, dict | None)]))
            edit, expected, touched = Set(path=path, value=value), given_new(before, path, value), path
    return Case(document=document, before=before, edit=edit, expected=expected, touched=touched)


@st.composite
def new_fields(draw: st.DrawFn, known: dict[Path, object], below: list[Path]) -> Path:
    """A path that is not there, in one of the mappings `below`."""
    path = draw(st.sampled_from(below))
    around = known[path]
    keys = set(around) if isinstance(around, dict) else set()
    return (*path, draw(KEYS.filter(lambda key: key not in keys)), *draw(st.lists(KEYS, max_size=2)))


@st.composite
def fresh_fields(draw: st.DrawFn) -> tuple[Written, Set]:
    """A document, and a field that it does not have in a mapping that has others."""
    document = draw(documents())
    known = dict(places(read(document.content)))
    below = [path for path, found in known.items() if isinstance(found, dict) and (found or not path)]
    return document, Set(path=draw(new_fields(known, below)), value=draw(VALUES))


@EXAMPLES
@given(case=cases())
def test_the_data_is_what_the_edit_says_and_other_lines_stay(case: Case) -> None:
    content, edit = case.document.content, case.edit
    after = edit_yaml("f.yaml", content, [edit])
    assert sorted_(read(after)) == sorted_(case.expected)
    assert repr(sorted_(read(after))) == repr(sorted_(case.expected))  # `1`, `1.0` and `True` are equal
    old, new = (text.decode().split(case.document.line_break) for text in (content, after))
    first, last = case.document.lines(case.touched)
    assert new[:first] == old[:first]
    assert last >= len(old) or new[-(len(old) - last) :] == old[last:]
    other = after.decode().replace("\r\n", "") if case.document.line_break == "\r\n" else after.decode()
    assert "\r" not in other
    assert case.document.line_break == "\n" or "\n" not in other
    if not isinstance(edit, Add) and not (isinstance(edit, Remove) and any(isinstance(s, int) for s in edit.path)):
        assert edit_yaml("f.yaml", after, [edit]) == after


def sorted_(data: object) -> object:
    if isinstance(data, dict):
        return {key: sorted_(data[key]) for key in sorted(data)}
    return [sorted_(item) for item in data] if isinstance(data, list) else data


@EXAMPLES
@given(fresh=fresh_fields())
def test_a_new_field_that_is_removed_again_leaves_the_bytes_that_were(fresh: tuple[Written, Set]) -> None:
    document, edit = fresh
    after = edit_yaml("f.yaml", document.content, [edit])
    assert edit_yaml("f.yaml", after, [Remove(path=edit.path)]) == document.content
