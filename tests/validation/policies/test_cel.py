"""The door to CEL: what expressions give, and that nothing they do reaches this process."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m2g.validation.policies import cel
from m2g.validation.policies.cel_types import Evaluation, EvaluationResult, Expected, Status
from tests.support.machine import seconds

OBJECT = {"a": 1, "x": 2.5, "l": [1, 2], "t": "é", "m": {"memory": "2Gi"}, "n": None, "big": list(range(200))}


def ask(*expressions: str, expected: Expected = Expected.BOOL) -> list[EvaluationResult]:
    return cel.evaluate([{"o": OBJECT}], [Evaluation(expression=e, scope=0, expected=expected) for e in expressions])


TRUE = [
    "o.a == 1 && o.x > 2.0 && o.x > 2",
    "has(o.a) && !has(o.b)",
    "o.n == null",
    "o.l.all(i, i > 0) && o.l.exists(i, i == 2) && o.l.map(i, i * 2) == [2, 4]",
    "o.t.size() == 1 && size(o.l) == 2 && size(o) == 7",
    "'size(' == r'size(' && \"\"\"size()\"\"\" != '' // size(",
    "o.t.matches('^.$') && 'a.b'.split('.') == ['a', 'b'] && 'AB'.lowerAscii() == 'ab'",
    "quantity(o.m.memory).isLessThan(quantity('2049Mi')) && quantity('1') == quantity('1000m')",
    "quantity('1Gi').add(quantity('1Gi')).compareTo(quantity('2Gi')) == 0 && quantity(2).asInteger() == 2",
    "isQuantity('1Gi') && !isQuantity('1 GB') && isURL('https://a/b') && !isURL('a b')",
    "isIP('10.0.0.1') && isCIDR('10.0.0.0/8') && !isIP('a') && [1, 2].isSorted() && sets.contains(o.l, [1])",
    "o.b == 1 || o.a == 1",
    "timestamp('2026-01-01T00:00:00Z') < timestamp('2027-01-01T00:00:00Z')",
]


def test_what_is_true_is_true() -> None:
    for expression, answer in zip(TRUE, ask(*TRUE), strict=True):
        assert (answer.status, answer.is_true) == (Status.DONE, True), (expression, answer)


WRONG = [
    ("o.b", Status.MISSING, "no field 'b'"),
    ("o.l[7] == 1", Status.MISSING, "out of bounds"),
    ("1 / 0 == 1", Status.MISSING, "zero"),
    ("o.a", Status.TYPE, "returns 1, not true or false"),
    ("o", Status.TYPE, "returns a map"),
    ("1 + 'a' == ''", Status.TYPE, "No such overload"),
    ("quantity('1 GB') == quantity('1')", Status.TYPE, "quantity(): '1 GB' is not a quantity"),
    ("size(1) == 1", Status.TYPE, "size():"),
    ("oldSelf.a", Status.NAME, "'oldSelf'"),
    ("frobnicate(o)", Status.NAME, "'frobnicate'"),
    ("o.?a.orValue(1) == 1", Status.UNSUPPORTED, ".?"),
    ("(", Status.SYNTAX, "column 2"),
    ("o.a ==\n== 1", Status.SYNTAX, "line 2"),
    ("", Status.SYNTAX, ""),
    ("'\ud800' == o.t", Status.SYNTAX, "surrogate"),
]


def test_what_cannot_be_answered_says_why() -> None:
    for (expression, ending, words), answer in zip(WRONG, ask(*(row[0] for row in WRONG)), strict=True):
        assert answer.status is ending, (expression, answer)
        assert words in answer.problem, (expression, answer)
        assert "\n" not in answer.problem


def test_names_are_known_without_an_evaluation() -> None:
    (answer,) = ask("has(o.a) && o.l.all(i, nosuch(i)) && sets.contains(o.l, [x])", expected=Expected.NAMES)
    assert answer.variables == ("i", "o", "sets", "x")
    assert answer.unknown_functions == ("nosuch",)


def test_a_message_is_text() -> None:
    done, wrong = ask("'is ' + string(o.a)", "o.a", expected=Expected.TEXT)
    assert done.text == "is 1"
    assert wrong.problem == "the expression returns 1, not a string"


DOUBLING = "o.t"
for _ in range(60):
    DOUBLING = f"[{DOUBLING}].map(v, v + v)[0]"
HOSTILE = [
    "o.big.all(a, o.big.all(b, o.big.all(c, o.big.all(d, o.big.all(e, true)))))",
    f"{DOUBLING} == ''",
    "+".join(["1"] * 20_000),
    "(" * 4000,
    "[" * 4000,
    "!" * 4095 + "true",
    "o." * 2000 + "a",
    "true ? " * 300 + "true" + " : true" * 300,
    "[1].all(x, " * 200 + "true" + ")" * 200,
    "o.t.matches('" + "(a{1000})" * 5 + "{1000}')",
    "'a'.replace('', '" + "b" * 1000 + "', 9000000000) == ''",
]


def test_hostile_expressions_end_and_take_nothing_along() -> None:
    start = time.monotonic()
    answers = ask(*HOSTILE, "o.a == 1")
    assert answers[0].status is Status.LIMIT
    assert "processor time" in answers[0].problem
    assert answers[2].problem == "the expression is longer than 4096 characters"
    assert answers[-1].is_true
    assert time.monotonic() - start < seconds(60)


def test_what_broke_the_library_once_is_not_tried_on_every_object() -> None:
    start = time.monotonic()
    scopes = [{"o": OBJECT}] * 50
    answers = cel.evaluate(scopes, [Evaluation(expression=HOSTILE[0], scope=index) for index in range(50)])
    assert {answer.status for answer in answers} == {Status.LIMIT}
    assert time.monotonic() - start < seconds(20)


def test_answers_come_in_the_order_of_the_questions() -> None:
    scopes = [{"n": number} for number in range(20)]
    asked = [Evaluation(expression=f"n == {number}", scope=number) for number in reversed(range(20))]
    assert all(answer.is_true for answer in cel.evaluate(scopes, asked))


def test_many_evaluations_are_quick() -> None:
    start = time.monotonic()
    scopes = [{"o": OBJECT}] * 1000
    answers = cel.evaluate(scopes, [Evaluation(expression="o.l.all(i, i > 0)", scope=i % 1000) for i in range(10_000)])
    assert all(answer.is_true for answer in answers)
    assert time.monotonic() - start < seconds(20)


LEAVES = st.sampled_from(
    ["o", "o.a", "o.b", "o.l", "o.t", "o.m.memory", "1", "-1.5", "'x'", "null", "true", "[]", "{}", "x"]
)
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+ - * / % == != < && || in".split()), inner).map(" ".join),
        st.tuples(inner, inner).map(lambda p: f"({p[0]}) ? ({p[1]}) : ({p[0]})"),
        st.tuples(st.sampled_from(["size", "has", "quantity", "string", "isURL", "url", "int", "!"]), inner).map(
            lambda p: f"{p[0]}({p[1]})"
        ),
        st.tuples(inner, st.sampled_from(["all", "map", "exists", "filter"]), inner).map(
            lambda p: f"({p[0]}).{p[1]}(x, {p[2]})"
        ),
        st.tuples(inner, inner).map(lambda p: f"({p[0]})[{p[1]}]"),
    ),
    max_leaves=8,
)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.one_of(EXPRESSIONS, st.text(max_size=60), st.text("()[]{}.?:!&|'\"\\ xo1+-", max_size=60)), max_size=60)
)
def test_no_expression_raises(expressions: list[str]) -> None:
    answers = ask(*expressions)
    assert len(answers) == len(expressions)
    assert all(answer.problem or answer.status is Status.DONE for answer in answers)


@pytest.mark.parametrize(
    "value", [2**63, -(2**63) - 1, 10**400, 1e308, "\x00", "\ud800", "\ud800\udc00", {"": {}}, [[[]]]]
)
def test_any_data_may_be_a_variable(value: object) -> None:
    (answer,) = cel.evaluate([{"o": value}], [Evaluation(expression="o == o", scope=0)])
    assert answer.status in (Status.DONE, Status.TYPE)
