"""Findings for the tests of reports: plain ones, hostile ones, and any."""

from __future__ import annotations

from hypothesis import strategies as st

from m2g.core.finding import Finding, Severity

PLAIN = Finding(
    file="models/wine/model.yaml",
    line=3,
    rule="scale-metric",
    message="is 1, less than minReplicas 2",
    hint="set minReplicas and maxReplicas in model.yaml",
    path="spec.predictor.maxReplicas",
    model="wine",
    environment="prod",
)
WARNING = Finding(file="m2g.yaml", rule="x", severity=Severity.WARNING, message="odd")
NOWHERE = Finding(rule="policy/no-latest", message="nothing is named")
HOSTILE = (
    "\x1b[2J\x9b31m",
    "\x1b]0;title\x07",
    "a\r\nb",
    "\n::error file=x::y",
    "::stop-commands::x",
    "%0A::error::x",
    "a,line=9::b",
    "##[add-mask]x",
    "]]>",
    "<!-- --> <![CDATA[ &amp; &#0; </failure>",
    '"/><failure message="x',
    "\u202etxt.\u2066x\u200b\ufeff",
    "\ud800 \udcff \ufffe \uffff \x00",
    "[click](https://example.com)",
    "{0} {{1}}",
    "模型" * 60,
    "a\u0301" * 100,
    "x" * 50_000,
    "section_start:1:x\r\x1b[0K",
)
TEXTS = (
    st.sampled_from(HOSTILE)
    | st.text(st.characters(codec=None), max_size=40)
    | st.lists(st.sampled_from(HOSTILE), max_size=3).map(" ".join)
)
FINDINGS = st.lists(
    st.builds(
        Finding,
        file=TEXTS,
        line=st.integers(0, 10**6),
        rule=TEXTS.filter(bool),
        severity=st.sampled_from(Severity),
        message=TEXTS,
        hint=TEXTS,
        path=TEXTS,
        model=TEXTS,
        environment=TEXTS,
    ),
    max_size=4,
)
