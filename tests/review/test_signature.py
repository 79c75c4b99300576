"""The verdict on two signatures: can callers of the old version call the new one?"""

from __future__ import annotations

import pytest

from m2g.core.model import Field, Signature
from m2g.review import Compatibility
from m2g.review.signature import compare


def field(name: str = "a", kind: str = "double", **more: object) -> Field:
    return Field(name=name, type=kind, **more)  # type: ignore[arg-type]  # keywords of a test's table


def sides(**fields: tuple[Field, ...]) -> Signature:
    return Signature(**fields)


A, B = field("a"), field("b")
CASES: list[tuple[str, Signature | None, Signature | None, Compatibility]] = [
    ("neither", None, None, Compatibility.UNKNOWN),
    ("both empty", Signature(), None, Compatibility.UNKNOWN),
    ("the same", sides(inputs=(A, B)), sides(inputs=(A, B)), Compatibility.COMPATIBLE),
    ("another order of columns", sides(inputs=(A, B)), sides(inputs=(B, A)), Compatibility.COMPATIBLE),
    ("lost", sides(inputs=(A,)), None, Compatibility.BREAKING),
    ("logged for the first time", None, sides(inputs=(A,)), Compatibility.ADDITIVE),
    ("input removed", sides(inputs=(A, B)), sides(inputs=(A,)), Compatibility.BREAKING),
    ("input added, required", sides(inputs=(A,)), sides(inputs=(A, B)), Compatibility.BREAKING),
    (
        "input added, optional",
        sides(inputs=(A,)),
        sides(inputs=(A, field("b", required=False))),
        Compatibility.ADDITIVE,
    ),
    ("input renamed", sides(inputs=(A,)), sides(inputs=(B,)), Compatibility.BREAKING),
    (
        "input widened",
        sides(inputs=(field(kind="integer"),)),
        sides(inputs=(field(kind="long"),)),
        Compatibility.ADDITIVE,
    ),
    (
        "input narrowed",
        sides(inputs=(field(kind="long"),)),
        sides(inputs=(field(kind="integer"),)),
        Compatibility.BREAKING,
    ),
    ("input of another type", sides(inputs=(A,)), sides(inputs=(field(kind="string"),)), Compatibility.BREAKING),
    ("input made required", sides(inputs=(field(required=False),)), sides(inputs=(A,)), Compatibility.BREAKING),
    ("input made optional", sides(inputs=(A,)), sides(inputs=(field(required=False),)), Compatibility.ADDITIVE),
    ("output added", sides(outputs=(A,)), sides(outputs=(A, B)), Compatibility.ADDITIVE),
    ("output removed", sides(outputs=(A, B)), sides(outputs=(A,)), Compatibility.BREAKING),
    ("output widened", sides(outputs=(field(kind="float"),)), sides(outputs=(A,)), Compatibility.BREAKING),
    ("output made optional", sides(outputs=(A,)), sides(outputs=(field(required=False),)), Compatibility.BREAKING),
    ("output described", sides(inputs=(A,)), sides(inputs=(A,), outputs=(A,)), Compatibility.ADDITIVE),
    ("output no longer described", sides(inputs=(A,), outputs=(A,)), sides(inputs=(A,)), Compatibility.BREAKING),
    ("parameter added", sides(inputs=(A,)), sides(inputs=(A,), params=(B,)), Compatibility.ADDITIVE),
    ("parameter added to some", sides(params=(A,)), sides(params=(A, B)), Compatibility.ADDITIVE),
    ("parameter removed", sides(params=(A, B)), sides(params=(A,)), Compatibility.BREAKING),
    ("no parameters, said otherwise", sides(inputs=(A,), params=()), sides(inputs=(A,)), Compatibility.COMPATIBLE),
    (
        "tensor of any size now",
        sides(inputs=(field("", "float32", shape=(8, 3)),)),
        sides(inputs=(field("", "float32", shape=(-1, 3)),)),
        Compatibility.ADDITIVE,
    ),
    (
        "tensor of one size now",
        sides(inputs=(field("", "float32", shape=(-1, 3)),)),
        sides(inputs=(field("", "float32", shape=(8, 3)),)),
        Compatibility.BREAKING,
    ),
    (
        "tensor of another rank",
        sides(inputs=(field("", "float32", shape=(-1, 3)),)),
        sides(inputs=(field("", "float32", shape=(-1, 3, 1)),)),
        Compatibility.BREAKING,
    ),
    (
        "output tensor of any size now",
        sides(outputs=(field("", "float32", shape=(1,)),)),
        sides(outputs=(field("", "float32", shape=(-1,)),)),
        Compatibility.BREAKING,
    ),
]


@pytest.mark.parametrize(("before", "after", "verdict"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_verdict(before: Signature | None, after: Signature | None, verdict: Compatibility) -> None:
    found = compare(before, after)
    assert found.verdict is verdict
    assert bool(found.reasons) == (verdict in (Compatibility.BREAKING, Compatibility.ADDITIVE))


def test_reasons_say_all_the_worst_first() -> None:
    before = sides(inputs=(A, field("c", "integer")), outputs=(A,))
    after = sides(inputs=(A, B, field("c", "long")), outputs=(A, B))
    assert compare(before, after).reasons == (
        "input 'b' (double) is now required",
        "input 'c' changes its type from integer to long",
        "output 'b' (double) is new",
    )
