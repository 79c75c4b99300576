"""The pages of docs/ as steps that a reader would take: files to write, YAML to merge, commands to run.

A fenced block's info string says what it is:

    ```sh                    run by bash; the next block goes on where it ended (folder, exported variables)
    ```sh exit=1             … and ends with this exit code
    ```text                  after a sh block: lines that its output has, in this order; `…` stands for any text
    ```yaml merge=FILE       merged into FILE
    ```yaml file=FILE        FILE
    ```python file=FILE      FILE
    ```python run            run in the test's own process
    ```LANGUAGE no-test      nothing is done with it; a comment above says why
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tests.support.paths import ROOT

DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if path.parent.name != "decisions")
_FENCE = re.compile(r"( *)```([a-z]*)(.*)")


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """A fenced block. `options` are the words after the language; `before` is the last line of text above it."""

    page: Path
    line: int
    language: str
    options: dict[str, str]
    text: str
    before: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """Every fenced block of a page, in order; indented ones (in lists) without their indent."""
    lines = page.read_text().splitlines()
    number, before = 0, ""
    while number < len(lines):
        opening = _FENCE.fullmatch(lines[number])
        if opening is None:
            before = lines[number].strip() or before
            number += 1
            continue
        start, indent = number, opening[1]
        number += 1
        while lines[number] != f"{indent}```":
            number += 1
        words = (word.partition("=") for word in opening[3].split())
        yield Block(
            page=page,
            line=start + 1,
            language=opening[2],
            options={name: value for name, _, value in words},
            text="\n".join(line.removeprefix(indent) for line in lines[start + 1 : number]) + "\n",
            before=before,
        )
        number, before = number + 1, ""


def anchors(page: Path) -> set[str]:
    """What a link to the page may name after `#`: headings as GitHub writes them, and explicit ids."""
    text = re.sub(r"^( *)```.*?^\1```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    words = {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
    return words | set(re.findall(r'<a id="([^"]+)">', text))


def links(page: Path) -> list[str]:
    """Targets of a page's links, those in code left out."""
    text = re.sub(r"^( *)```.*?^\1```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"`[^`\n]*`", "", text)
    return re.findall(r"\]\(([^)\s]+)\)", text)
