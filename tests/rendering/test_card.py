"""The card: whatever a registry says stays in its cell, and no cell has markup, a mention or a link of its own."""

from __future__ import annotations

import re

import pytest

from m2g.core.model import Field, Flavor, Mlmodel, Run, Signature
from m2g.rendering.card import CardRow, render_card
from tests.support.fleet import release

HOSTILE = (
    "a | b | c",
    "one\n# two\n\n| three |",
    "\r\n---\r\n",
    "<script>alert(1)</script> <!-- ",
    "```\nrm -rf /\n```",
    "`|`",
    "![x](https://example.com/x.png) [y](https://example.com)",
    "https://example.com www.example.com",
    "@team closes #1",
    "\u202egnp.exe\u200b",
    "*bold* _under_ ~~gone~~ ==x==",
    "\\| \\\\|",
    "x" * 5000,
)


def page(said: str) -> str:
    found = release(
        said,
        "dev",
        said,
        follows=said,
        run=Run(id=said, metrics={said: 0.5}),
        mlmodel=Mlmodel(
            sha256="0",
            flavors=(Flavor(name=said, version=said),),
            signature=Signature(inputs=(Field(name=said, type=said),), params=(Field(name=said, type=said),)),
        ),
    )
    row = CardRow(
        release=found,
        namespace="models-dev",
        source=said,
        profile="mlserver",
        reason=said,
        protocol="v2",
        sample="",
        notes=(said,),
        call=("curl x",),
    )
    return render_card("wine", [row, row])


def cells(text: str) -> list[int]:
    """How many each row of a table has; 0 for another line."""
    return [len(re.findall(r"(?<!\\)\|", line)) for line in text.splitlines()]


@pytest.mark.parametrize("said", HOSTILE)
def test_no_text_leaves_its_cell(said: str) -> None:
    found = page(said)
    assert cells(found) == cells(page("wine"))
    outside = re.sub(r"(`+)[^`].*?\1", "", found)  # in code all of it is only text
    assert not re.search(r"(?<!\\)<|@|\]\(http|https?:/|www\.|[\u200b\u202e]", outside)
    assert max(map(len, found.splitlines())) < 2500
