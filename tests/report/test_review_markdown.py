"""Nothing that comes from a registry or a repository breaks out of its cell, span or fence."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser

import hypothesis
import pytest
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from m2g.core.results import ChangeKind
from m2g.report import diff as report
from m2g.report.review_markdown import BUDGET
from m2g.review import Change, Compatibility, Concern, Contract, FactChange, Metric, ObjectChange, Review, Risk

HOSTILE = [
    "a|b",
    "a\\|b",
    "a\\",
    "`",
    "``` x",
    "a`b``c",
    "|`|",
    "</details>",
    "</code></summary><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<!-- m2g diff -->",
    "-->",
    "<!--",
    "[x](javascript:alert(1))",
    "![x](https://example.com/x.png)",
    "https://example.com www.example.com",
    "@alice @acme/team a@b.c",
    "fixes #123 acme/x#4 GH-5",
    "line\nline\r\nline\u2028line\u0085",
    "\n\n# Title\n\n- [x] done",
    "\n```\n</details>\n",
    "~~~",
    "\u202eevil\u2066",
    "zero\u200bwidth\ufeff",
    "\x1b[31mred\x1b]8;;http://x\x07\x9b1m",
    "::error file=x::y",
    "::stop-commands::z",
    "##[error]x",
    "&lt;b&gt; &#64;alice",
    "$(id) ${X} {{ x }}",
    "*bold* _it_ ~~no~~ ==x==",
    "x" * 100_000,
    "",
    " ",
]


def review(text: str) -> Review:
    """`text` wherever text can come from outside."""
    item = ObjectChange(
        kind=ChangeKind.CHANGED,
        api_version=text,
        object_kind=text,
        namespace=text,
        name=text,
        diff=(f"-{text}", f"+{text}"),
    )
    change = Change(
        kind=ChangeKind.CHANGED,
        risk=Risk.BREAKING,
        slug="wine",
        model=text,
        environment=text,
        before=text,
        after=text + "2",
        concerns=(Concern(risk=Risk.BREAKING, message=text), Concern(risk=Risk.CAUTION, message=text)),
        contract=Contract(verdict=Compatibility.BREAKING, reasons=(text, text)),
        metrics=(Metric(name=text, before=text, after=1.0), Metric(name="plain", before=1.0, after=2.0, delta=1.0)),
        params=(FactChange(name=text, before=text, after=text),),
        lineage=(FactChange(name=text, before=text, after=text),),
        objects=(item,),
    )
    return Review(against=text, changes=(change,), files=(text,), notes=(text,))


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.comments: list[str] = []
        self.loose: list[str] = []
        self._inside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("br", "hr", "img"):
            self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.tags.append(f"/{tag}")
        if tag in self._inside:
            while self._inside.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if not {"code", "pre"} & set(self._inside):
            self.loose.append(data)

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)


def html(text: str) -> _Tags:
    parsed = _Tags()
    parsed.feed(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text))
    return parsed


SHAPE = html(report.render(review("plain"), "markdown")).tags
LOOSE = "".join(html(report.render(review("plain"), "markdown")).loose)


def shape_holds(text: str) -> None:
    written = report.render(review(text), "markdown")
    found = html(written)
    assert set(found.tags) <= set(SHAPE)
    for tag in ("details", "/details", "summary", "td", "tr", "table", "h2", "pre"):
        assert found.tags.count(tag) == SHAPE.count(tag), tag
    assert found.comments == [" m2g diff "]
    assert "".join(found.loose).split() == LOOSE.split()
    assert not re.search(r"(?<!\w)[@#](?=\w)", unescape(written))
    assert len(written) <= BUDGET


@pytest.mark.parametrize("text", [text for text in HOSTILE if text.strip()], ids=ascii)
def test_hostile_text_changes_no_structure(text: str) -> None:
    shape_holds(text)


@hypothesis.given(st.text(alphabet=st.sampled_from("`|\\<>!-[]()@#&\n\r\t *_~:/a\u202e\x1b"), min_size=1, max_size=30))
@hypothesis.settings(max_examples=100)
def test_any_text_changes_no_structure(text: str) -> None:
    hypothesis.assume(text.strip())
    shape_holds(text)


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
@pytest.mark.parametrize("form", ["text", "json"])
def test_no_control_character_reaches_a_terminal_and_no_command_a_runner(text: str, form: str) -> None:
    written = report.render(review(text), form)
    assert not re.search(
        "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069\ufeff]", written
    )
    if form == "text":
        assert not re.search(r"^\s*::|##\[", written, re.MULTILINE)


def test_a_large_review_keeps_the_riskiest_and_says_what_it_dropped() -> None:
    item = ObjectChange(
        kind=ChangeKind.CHANGED,
        api_version="v1",
        object_kind="X",
        namespace="n",
        name="x",
        diff=("+" + "y" * 300,) * 200,
    )
    changes = [
        Change(
            kind=ChangeKind.CHANGED,
            risk=Risk.BREAKING if number < 2 else Risk.ROUTINE,
            slug=f"m{number}",
            model=f"m{number}",
            environment="prod",
            lineage=tuple(FactChange(name=f"fact {n}", before="a" * 500, after="b" * 500) for n in range(50)),
            objects=(item,),
        )
        for number in range(2000)
    ]
    written = report.render(Review(against="main", changes=tuple(changes)), "markdown")
    assert len(written) <= BUDGET
    assert "2000 changes in 2000 models: 2 breaking, 1998 routine" in written
    assert "| 🔴 breaking | `m0` |" in written
    note = written.strip().splitlines()[-1]
    assert "Left out" in note
    assert re.search(r"\d+ table rows, .*\d+ diffs", note) or re.search(r"\d+ table rows.*details", note)
    assert written.count("<details>") == written.count("</details>")


def test_a_small_review_drops_nothing() -> None:
    assert "Left out" not in report.render(review("x"), "markdown")
