"""Edits of YAML, case by case: what changes, what stays, and what is refused in which words."""

from __future__ import annotations

import time

import pytest
import ryaml
import yaml  # type: ignore[import-untyped]  # it has no types

from m2g.core import yaml_reader
from m2g.core.errors import InputError
from m2g.core.yaml_writer import Plain
from m2g.repository.yaml_edit import Add, Edit, Remove, Set, edit_yaml
from tests.support.yaml_traps import REFUSED, TRAPS

FILE = "models/wine/model.yaml"
VERSION = ("environments", "prod", "version")


def put(*path: str | int, to: Plain) -> Set:
    return Set(path=path, value=to)


def add(*path: str | int, item: Plain) -> Add:
    return Add(path=path, value=item)


def cut(*path: str | int, prune: bool = True) -> Remove:
    return Remove(path=path, prune=prune)


def edited(text: str, *edits: Edit) -> str:
    return edit_yaml(FILE, text.encode(), edits).decode()


HELD = """\
# yaml-language-server: $schema=../../schemas/model.schema.json

environments:   # all of them
    # What customers see.
    prod:
        version:   3     # until the audit
        # Who decided: Ada
        reason: >-
            slow answers,
            see TICKET-123

    # the last word
"""

CASES: dict[str, tuple[str, list[Edit], str]] = {
    "a scalar keeps its comment and its alignment": (
        HELD,
        [put(*VERSION, to=4)],
        HELD.replace("version:   3 ", "version:   4 "),
    ),
    "folded text becomes a word": (
        HELD,
        [put("environments", "prod", "reason", to="on")],
        HELD.replace(">-\n            slow answers,\n            see TICKET-123\n", '"on"\n'),
    ),
    "a new environment comes after the last one, in the file's indentation": (
        HELD,
        [put("environments", "dev", "version", to=5)],
        HELD.replace("TICKET-123\n", "TICKET-123\n    dev:\n        version: 5\n"),
    ),
    "a removed field takes its own line": (
        HELD,
        [cut(*VERSION)],
        HELD.replace("        version:   3     # until the audit\n", ""),
    ),
    "a removed environment takes the comments in it, not those around it": (
        HELD + "a: 1\n",
        [cut("environments", "prod")],
        "\n".join((*HELD.splitlines()[:2], "a: 1", "")),
    ),
    "an equal value is not touched": ("a: 'x'\nb: 0x10\n", [put("a", to="x"), put("b", to=16)], "a: 'x'\nb: 0x10\n"),
    "text and a number are not equal": ("a: 1\nb: 1.0\n", [put("a", to="1"), put("b", to=1)], 'a: "1"\nb: 1\n'),
    "an empty file": ("", [put(*VERSION, to=3)], "environments:\n  prod:\n    version: 3\n"),
    "only comments": ("# why\n\n", [put("a", to=1)], "# why\n\na: 1\n"),
    "only comments, no line break at the end": ("# why", [put("a", "b", to=1)], "# why\na:\n  b: 1"),
    "only a mark": ("---\n# x\n...\n", [put("a", to=1)], "---\n# x\na: 1\n...\n"),
    "only a byte order mark": ("\ufeff", [put("a", to=1)], "\ufeffa: 1\n"),
    "only null": ("null # nothing\n", [put("a", "b", to=1)], "a: # nothing\n  b: 1\n"),
    "only braces": ("{}\n", [put("a", to=1)], "a: 1\n"),
    "braces with something in them stay": ("{a: 1}\n", [put("b", "c", to=[1])], "{a: 1, b: {c: [1]}}\n"),
    "braces behind the mark": ("--- {} # x\n", [put("a", to=1)], "---  # x\na: 1\n"),
    "a field of nothing": (
        "a:   # x\nb: ~\nc: {}\nd: [ ]\n",
        [put("a", "z", to=1), put("b", "z", to=1), put("c", "z", to=1), add("d", item=1)],
        "a:   # x\n  z: 1\nb:\n  z: 1\nc:\n  z: 1\nd:\n- 1\n",
    ),
    "windows line breaks": (
        "a: 1\r\nb:\r\n  c: 2\r\n",
        [put("b", "d", to=1), put("e", "f", to=1)],
        "a: 1\r\nb:\r\n  c: 2\r\n  d: 1\r\ne:\r\n  f: 1\r\n",
    ),
    "no line break at the end": ("a: 1\nb: 2", [put("c", "d", to=3), cut("b")], "a: 1\nc:\n  d: 3"),
    "the last field of a file without one": ("a: 1\r\nb: 2", [cut("b")], "a: 1"),
    "the last field of all": ("# why\na: 1\n", [cut("a")], "# why\n"),
    "a byte order mark": ("\ufeffa: 1\nb: 2\n", [cut("a"), put("c", to=1)], "\ufeffb: 2\nc: 1\n"),
    "non-ASCII text and long lines": (
        f"größe: é # ☃\nlong: {'x ' * 5000}y\n",
        [put("größe", to="ß")],
        f'größe: "ß" # ☃\nlong: {"x " * 5000}y\n',
    ),
    "a mapping in the place of a mapping keeps its comments": (
        "a:\n  # one\n  b: 1 # two\n  # three\n  c: 2\n  d: 3\n",
        [put("a", to={"c": 5, "b": 1, "e": {"f": 1}})],
        "a:\n  # one\n  b: 1 # two\n  # three\n  c: 5\n  e:\n    f: 1\n",
    ),
    "anchors stay": (
        "a: &x 1\nb: &y\n  c: 1\nd: &z\n",
        [put("a", to=2), put("b", "c", to=2), put("d", to=1)],
        "a: &x 2\nb: &y\n  c: 2\nd: &z 1\n",
    ),
    "a block of text with a comment": ("a: |2-  # why\n\n     x\n\nb: 1\n", [put("a", to=1)], "a: 1  # why\n\nb: 1\n"),
    "a block of text that keeps its empty lines": ("a: |+\n  x\n\n\n", [put("b", to=1)], "a: |+\n  x\n\n\nb: 1\n"),
    "a comment that ends a block of text": (
        "a:\n  b: |\n    x\n    # y\n  # z\nc: 1\n",
        [put("a", "d", to=1)],
        "a:\n  b: |\n    x\n    # y\n  d: 1\n  # z\nc: 1\n",
    ),
    "a value on the next line": (
        "a:\n  # c\n  'x'   # y\nb:\n  - 1\n",
        [put("a", to=1), put("b", to="z")],
        "a:\n  # c\n  1   # y\nb: z\n",
    ),
    "text of several lines": (
        "a: one\n  two # x\nb: 'one\n\n  two'\n",
        [put("a", to=1), put("b", to={"c": 1})],
        "a: 1 # x\nb:\n  c: 1\n",
    ),
    "a list below its key": (
        "a:\n- 1 # x\n-   2\nb: 1\n",
        [add("a", item={"c": [1]}), cut("a", 0)],
        "a:\n-   2\n- c:\n  - 1\nb: 1\n",
    ),
    "an indented list": (
        "a:\n   -  1\nb: 1\n",
        [add("a", item=2), put("c", to=[[1, 2], {"d": {}}])],
        "a:\n   -  1\n   - 2\nb: 1\nc:\n   - - 1\n     - 2\n   - d: {}\n",
    ),
    "mappings in lists": (
        "a:\n- b: 1 # x\n  c: 2\n-\n  # d\n  e: 3\n- # f\n",
        [cut("a", 0, "b"), put("a", 1, "e", to=[1]), put("a", 2, "g", to=1)],
        "a:\n- c: 2\n-\n  # d\n  e:\n  - 1\n- g: 1 # f\n",
    ),
    "a field with a comment after it in a list": ("- a: 1\n  # b\n  b: 2\n", [cut(0, "a")], "-\n  # b\n  b: 2\n"),
    "lists in lists": (
        "- - a\n  - b\n- - - c\n",
        [cut(0, 0), add(1, 0, item="d"), put(0, 0, to={"x": 1, "w": [2]})],
        "- - x: 1\n    w:\n    - 2\n- - - c\n    - d\n",
    ),
    "the last item leaves an empty list": (
        "a:\n  # why\n  - 1 # x\nb: [1]\n",
        [cut("a", 0), cut("b", 0)],
        "a: []\n  # why\nb: []\n",
    ),
    "what is empty goes": ("a:\n  b:\n    c:\n      d: 1\n  e: 1\n", [cut("a", "b", "c", "d")], "a:\n  e: 1\n"),
    "what is empty stays on demand": (
        "a:\n  b:\n    # x\n    c: 1\n",
        [cut("a", "b", "c", prune=False)],
        "a:\n  b: {}\n    # x\n",
    ),
    "a missing field is removed already": (
        "a: [1]\n",
        [cut("b"), cut("a", 5), cut("a", "b"), cut("a", 0, "c")],
        "a: [1]\n",
    ),
    "flow style": (
        "a: {b: 1, 'c':2, d, e: [x, y,], f: }  # z\n",
        [
            put("a", "d", to="u:v"),
            cut("a", "b"),
            add("a", "e", item="w"),
            put("a", "f", "g", to=1),
            put("a", "c", to=None),
        ],
        "a: {'c':null, d: \"u:v\", e: [x, y, w,], f: {g: 1} }  # z\n",
    ),
    "the last in flow style": (
        "a: [x, y]\nb: [x, y,]\nc: {x: 1}\n",
        [cut("a", 1), cut("b", 1), cut("c", "x", prune=False)],
        "a: [x]\nb: [x,]\nc: {}\n",
    ),
    "flow style over lines": (
        "allow: [\n    s3://a/,  # one\n    s3://b/   # two\n]\n",
        [add("allow", item="s3://c/"), cut("allow", 0)],
        'allow: [\n    s3://b/,   # two\n    "s3://c/"\n]\n',
    ),
    "flow style over lines, with a last comma": (
        "a: {\n  b: 1,\n  # c\n  d: 2,\n}\n",
        [put("a", "e", to=3), cut("a", "b")],
        "a: {\n  # c\n  d: 2,\n  e: 3,\n}\n",
    ),
    "flow style broken anywhere": (
        "a: [x, # one\n  y, z\n  ]\n",
        [cut("a", 0), cut("a", 1), add("a", item="w")],
        "a: [ # one\n  y,\n  w\n  ]\n",
    ),
    "a field without a value in flow style": (
        "a: {b: }\nc: {'d':}\ne: {\n  f:\n}\ng: {h}\n",
        [put("a", "x", to=1), put("c", "x", to=1), put("e", "x", to=1), put("g", "x", to=1)],
        "a: {b: , x: 1}\nc: {'d': , x: 1}\ne: {\n  f: ,\n  x: 1\n}\ng: {h, x: 1}\n",
    ),
    "a pair in a list": ("a: [b: 1, c]\n", [put("a", 0, "b", to=2), cut("a", 1)], "a: [b: 2]\n"),
    "explicit keys": (
        "? a\n: 1\n? 'b'\n: - 2\nc: 3\n",
        [put("a", to=2), add("b", item=3), cut("c"), put("d", to=1)],
        "? a\n: 2\n? 'b'\n: - 2\n  - 3\nd: 1\n",
    ),
    "an explicit key goes with its mark": ("? a\n: 1\n? b\nc: 3\n", [cut("a"), cut("b")], "c: 3\n"),
    "keys of any kind": (
        "__proto__: 1\n'on': 2\n\"a.b\": {}\n'it''s': 3\n",
        [put("on", to=1), put("a.b", "c d", to=1), cut("it's"), put("__proto__", to={"constructor": 1})],
        '__proto__:\n  constructor: 1\n\'on\': 1\n"a.b":\n  "c d": 1\n',
    ),
    "directives and marks": (
        "%YAML 1.2\n---\na: 1 # x\n...\n# end\n",
        [put("b", to=1)],
        "%YAML 1.2\n---\na: 1 # x\nb: 1\n...\n# end\n",
    ),
    "trailing spaces": ("a: 1  \nb:  \n", [put("a", to=2), put("b", to=2), put("c", to=1)], "a: 2  \nb: 2  \nc: 1\n"),
    "old line breaks": ("a: 1\rb: 2\r", [put("b", to=3), put("c", to=1)], "a: 1\rb: 3\rc: 1\r"),
    "a comment on the line of an empty value": (
        "a: # why\n  x\n\nb: y\n",
        [put("a", to="z")],
        "a: # why\n  z\n\nb: y\n",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_only_the_edit_changes(case: str) -> None:
    before, edits, after = CASES[case]
    assert edited(before, *edits) == after


REFUSALS: dict[str, tuple[str, Edit, str]] = {
    "an alias": ("a: &x {b: 1}\nc: *x\n", put("c", "b", to=2), rf"{FILE}:2: YAML aliases \(\*x\) are not supported"),
    "an anchor that is referred to": ("a: &x 1\nc: *x\n", put("a", to=2), rf"{FILE}:2: YAML aliases"),
    "a merge key": ("a:\n  <<: {b: 1}\n", put("a", "b", to=2), rf"{FILE}:2: YAML merge keys \(<<\) are not supported"),
    "a new merge key": ("a: 1\n", put("<<", to={"a": 1}), "the key '<<' cannot be used"),
    "a syntax error": ("a: [\n", put("a", to=1), rf"{FILE}:2: .*expected"),
    "a duplicate key": ("a: 1\na: 2\n", put("b", to=1), rf"{FILE}:2: .*duplicate key"),
    "a merge conflict": ("<<<<<<< HEAD\na: 1\n=======\na: 2\n>>>>>>> x\n", put("a", to=1), "merge-conflict markers"),
    "two documents": ("a: 1\n---\nb: 1\n", put("a", to=2), rf"{FILE}:2: .*single document"),
    "too large": ("#" * (1 << 20) + "#\n", put("a", to=2), "larger than 1024 KiB"),
    "too large afterwards": ("a: 1\n", put("b", to="x" * (1 << 20)), "larger than 1024 KiB"),
    "not UTF-8": ("a: \udcff\n", put("a", to=2), "not UTF-8"),
    "a tag": ("a: !!str 1\n", put("b", to=2), rf"{FILE}:1: YAML tags"),
    "a key that is not text": ("1: 2\n", put("1", to=2), rf"{FILE}:1: the key 1 is not text"),
    "a key that is a list": ("? [a]\n: 1\n", put("b", to=2), "is not text"),
    "a tab": ("a:\n\tb: 1\n", put("b", to=2), rf"{FILE}:2: .*'\\t'"),
    "deep nesting": ("[" * 100 + "]" * 100, put("b", to=2), "nested more than 64"),
    "a field of a text": ("a:\n  b: x\n", put("a", "b", "c", to=2), rf"{FILE}:2: a.b is not a mapping, so it has no c"),
    "an item of a mapping": ("a: {}\n", put("a", 0, to=2), rf"{FILE}:1: a is not a list, so it has no \[0\]"),
    "a missing item": ("a: [1]\n", put("a", 1, to=2), rf"{FILE}:1: a is a list of 1, so it has no \[1\]"),
    "an item before the first": ("a: [1]\n", put("a", -1, to=2), r"a is a list of 1, so it has no \[-1\]"),
    "an item of nothing": ("a: 1\n", put("b", 0, to=2), r"b is not a list, so it has no \[0\]"),
    "a field of a list": ("a: [1]\n", put("a", "b", to=2), "a is not a mapping, so it has no b"),
    "an item for a mapping": ("a: {b: 1}\n", add("a", item=2), rf"{FILE}:1: a is not a list"),
    "a list at the root": ("- a\n", put("b", to=2), "the file is not a mapping, so it has no b"),
    "text at the root": ("word\n", put("b", to=2), "the file is not a mapping, so it has no b"),
    "a second field in a pair": (
        "a: [b: 1]\n",
        put("a", 0, "c", to=2),
        "cannot edit a.0..c without changing something",
    ),
    "text that would get a line break": ("a: |\n  x", put("b", to=2), "cannot edit b without changing something"),
    "a control character": ("a: 1\n", put("a", to="x\x00"), r"contains U\+0000"),
    "a control character in a key": ("a: 1\n", put("a\x1b", to=1), r"contains U\+001B"),
    "half a character": ("a: 1\n", put("a", to="\ud83d"), r"contains U\+D83D"),
    "not a number": ("a: 1\n", put("a", to=float("nan")), "the number nan cannot be used"),
    "a huge number": ("a: 1\n", put("a", to=1 << 64), "more than 64 bits"),
    "a huge key": ("a: 1\n", put("k" * 1001, to=1), "has 1001 characters"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_cannot_be_edited_is_refused_with_words(case: str) -> None:
    text, edit, words = REFUSALS[case]
    with pytest.raises(InputError, match=words) as refused:
        edit_yaml(FILE, text.encode(errors="surrogateescape"), [edit])
    assert (
        refused.value.hint or case in {"too large afterwards", "deep nesting"} or "cannot be written" in words or case
    )


def test_an_edit_names_a_field() -> None:
    with pytest.raises(ValueError, match="path of an edit is empty"):
        edited("a: 1\n", put(to=1))


def test_edits_are_all_made_or_none() -> None:
    with pytest.raises(InputError, match="has no c"):
        edited("a: 1\n", put("b", to=1), put("a", "c", to=1))


@pytest.mark.parametrize("depth", [70, 5000])
def test_a_value_may_not_be_deep(depth: int) -> None:
    deep: Plain = 1
    for _ in range(depth):
        deep = [deep]
    for edit in (put("b", to=deep), put(*("b",) * depth, to=1)):
        with pytest.raises(InputError, match=r"nested (more than|too deeply)"):
            edited("a: 1\n", edit)


def test_every_reader_takes_a_written_value_for_the_same() -> None:
    """YAML 1.1 (PyYAML), YAML 1.2 (ruamel.yaml, ryaml), in block and flow style, as a value, an item and a key."""
    keys = [trap for trap in TRAPS if trap != "<<" and len(trap) < 1000]
    block: Plain = {"items": [*TRAPS, {"v": list(TRAPS)}], "fields": {key: key for key in keys}}
    text = edited("a: 1\nflow: {a: [1]}\n", put("flow", "b", to=block), put("block", to=block))
    wanted = {"a": 1, "flow": {"a": [1], "b": block}, "block": block}
    assert yaml_reader.read(FILE, text.encode()).data == wanted
    assert yaml.safe_load(text) == wanted
    assert ryaml.loads(text) == wanted


def test_what_readers_corrupt_is_refused() -> None:
    for text in REFUSED:
        with pytest.raises(InputError, match="contains U"):
            edited("", put("a", to=text))


def test_the_time_goes_with_the_size() -> None:
    text = f"a: {{{', '.join(f'k{number}: {number}' for number in range(2000))}}} # c\n"
    start = time.process_time()
    yaml_reader.read(FILE, text.encode())
    reading, start = time.process_time() - start, time.process_time()
    assert edited(text, put("a", "k", to=1)).endswith("k1999: 1999, k: 1} # c\n")
    assert time.process_time() - start < 10 * reading
