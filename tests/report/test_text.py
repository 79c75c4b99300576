"""Text at 80 columns, with wide characters and long words; the last line is the verdict."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m2g.core.finding import Checked, Finding
from m2g.report import findings, layout

WORDS = {
    "wide": "模型" * 90,
    "wide sentences": "模型は八十列に収まる。 " * 20,
    "long": "spec.predictor." * 40,
    "combining": "e\u0301" * 200,
    "emoji": "🍷" * 100,
    "plain": "minReplicas is larger than maxReplicas " * 9,
}


@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
def test_no_line_is_wider_than_80_columns(words: str) -> None:
    finding = Finding(
        file="m2g.yaml", line=3, rule=words, message=words, hint=words, path=words, model=words, environment=words
    )
    written = findings.render_text([finding], Checked(models=1)).splitlines()
    assert max(map(layout.count_columns, written)) <= 80
    assert layout.count_columns(written[2]) > 60
    assert written[-1] == "1 error (checked: 1 model)"


def test_nothing_but_white_space_is_lost_in_wrapping() -> None:
    for words in WORDS.values():
        together = "".join(layout.wrap(words, "", ""))
        assert together.replace(" ", "") == words.replace(" ", "")


def test_addresses_and_files_stay_whole() -> None:
    address, file = f"https://example.com/{'a' * 100}", f"models/{'m' * 63}/overlays/{'p' * 40}/patch.yaml"
    written = findings.render_text([Finding(rule="x", file=file, line=7, message=f"see {address} for more")])
    assert f"    {address}\n    for more" in written
    assert f"  error {file}:7\n" in written


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=300), st.integers(1, 100))
def test_clipped_text_fits(text: str, limit: int) -> None:
    assert layout.count_columns(layout.clip(text, limit)) <= limit
    assert layout.clip(text, 10**6) == text
