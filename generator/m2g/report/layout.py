"""Text and JSON that are safe to print to a terminal, a CI log and a pull request."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from m2g.core.finding import Finding
from m2g.core.sanitize import IN_JSON, disarm_commands, disarm_inline_commands

WIDTH = 80
_GAP = "  "
_NARROW = 8
"""No column of a table gets narrower than this."""
_WHOLE = re.compile(r"https?://")
"""A URL is never split, so that it can be copied from the terminal."""


def join_lines(lines: Iterable[str]) -> str:
    """The lines as one text for a terminal or a CI log."""
    return disarm_commands("\n".join(lines) + "\n")


def encode_json(data: object) -> str:
    """JSON in ASCII: control sequences for a terminal or a runner (escape, bidi, `##[`) become `\\uXXXX`."""
    text = json.dumps(data, indent=2, ensure_ascii=True)
    return disarm_inline_commands(text.replace("\x7f", "\\u007f"), IN_JSON) + "\n"


def count(number: object, word: str) -> str:
    """`1 change`, `2 changes`."""
    return f"{number} {word}{'s' * (number != 1)}"


def format_table(rows: Sequence[Sequence[str]], width: int = 0) -> str:
    """Rows of cells in aligned columns. With a `width`, the widest cells end with an ellipsis so that a row fits."""
    widths = [max(map(count_columns, column)) for column in zip(*rows, strict=True)]
    while width and sum(widths) + len(_GAP) * (len(widths) - 1) > width and max(widths) > _NARROW:
        widths[widths.index(max(widths))] -= 1
    return join_lines(
        _GAP.join(_fill(cell, room) for cell, room in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _fill(cell: str, room: int) -> str:
    text = clip(cell, room)
    return text + " " * (room - count_columns(text))


def format_message(finding: Finding) -> str:
    """The message, with the path that it is about in front."""
    return f"{finding.path}: {finding.message}" if finding.path else finding.message


def count_columns(text: str) -> int:
    """How many terminal columns the text needs: two for a wide character (UAX 11), none for a combining one."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def clip(text: str, limit: int) -> str:
    """The text, cut to at most `limit` columns."""
    return text if count_columns(text) <= limit else text[: _fitting(text, limit - 1)] + "…"


def wrap(words: str, first: str, rest: str, width: int = WIDTH) -> list[str]:
    """The words on lines of at most `width` columns that start with `first`, then `rest`; a word too long is split."""
    lines: list[str] = []
    line, empty = first, True
    for word in _pieces(words, width - max(len(first), len(rest))):
        if not empty and count_columns(line) + 1 + count_columns(word) > width:
            lines.append(line)
            line, empty = rest, True
        line += word if empty else f" {word}"
        empty = False
    return [*lines, line]


def make_fingerprints(findings: Sequence[Finding]) -> list[str]:
    """A unique digest for each finding, by which a CI service recognizes it after its line has moved."""
    seen: Counter[str] = Counter()
    fingerprints = []
    for item in findings:
        identity = json.dumps((item.rule, item.file, item.path, item.model, item.environment, item.message))
        seen[identity] += 1
        fingerprints.append(hashlib.sha256(f"{identity}{seen[identity]}".encode()).hexdigest()[:32])
    return fingerprints


def _pieces(words: str, room: int) -> Iterator[str]:
    for word in words.split():
        while count_columns(word) > room and not _WHOLE.match(word):
            end = _fitting(word, room)
            yield word[:end]
            word = word[end:]  # noqa: PLW2901  # the rest of the word
        yield word


def _fitting(text: str, limit: int) -> int:
    """How many characters of the text fit in `limit` columns."""
    used = 0
    for index, character in enumerate(text):
        used += _columns(character)
        if used > limit:
            return index
    return len(text)


def _columns(character: str) -> int:
    if unicodedata.east_asian_width(character) in ("W", "F"):
        return 2
    return 0 if unicodedata.category(character) in ("Mn", "Me") else 1
