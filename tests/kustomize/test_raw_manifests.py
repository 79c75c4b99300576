"""Files and streams of objects that are applied as they are: where each stands, and how many m2g reads."""

from __future__ import annotations

from m2g.kustomize import parse_stream

STREAM = b"""\
# the first
a: 1
---

# the second
kind: List
apiVersion: v1
items:
- b: {c: 2}
- d:
    e: 3
---
---
- x
--- {f: 4}
"""


def test_the_line_of_an_object_and_of_its_fields() -> None:
    file = parse_stream("x.yaml", STREAM)
    assert file.objects == ({"a": 1}, {"b": {"c": 2}}, {"d": {"e": 3}}, ["x"], {"f": 4})
    assert [file.find_line(index, ()) for index in range(5)] == [2, 9, 10, 14, 15]
    assert file.find_line(1, ("b", "c")) == 9
    assert file.find_line(2, ("d", "e")) == 11
    assert file.find_line(4, ("f",)) == 15
    assert file.find_line(4, ("no", "such")) == 15


def test_too_many_documents_are_one_problem() -> None:
    assert parse_stream("x.yaml", b"--- {a: b}\n" * 10_000).error == ""
    file = parse_stream("x.yaml", b"--- {a: b}\n" * 10_001)
    assert file.objects == ()
    assert file.error == "has 10001 documents; m2g reads at most 10000 of one file"
