"""Lines that a terminal, a CI log and a JSON reader can take as they are."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from m2g.core.finding import Finding

WIDTH = 80
_COMMAND = re.compile(r"^(\s*):(?=:)", re.MULTILINE)
_WHOLE = re.compile(r"https?://")
"""An address is copied from the terminal: it stays in one piece, however long."""


def joined(lines: Iterable[str]) -> str:
    """The lines as one text. None of them is a command to GitHub's runner, which reads every log for `::` and `##[`."""
    text = "\n".join(lines) + "\n"
    return _COMMAND.sub(r"\1: ", text).replace("##[", "## [")


def encoded(data: object) -> str:
    """JSON in ASCII alone: what a terminal or GitHub's runner obeys (escape, bidi, `##[`) is written as `\\uXXXX`."""
    text = json.dumps(data, indent=2, ensure_ascii=True)
    return text.replace("\x7f", "\\u007f").replace("##[", "#\\u0023[") + "\n"


def columns(text: str) -> int:
    """How many columns of a terminal the text takes: two for a wide character (UAX 11), none for a combining one."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def clipped(text: str, limit: int) -> str:
    """The text on at most `limit` columns."""
    return text if columns(text) <= limit else text[: _fitting(text, limit - 1)] + "…"


def wrapped(words: str, first: str, rest: str) -> list[str]:
    """Words on lines of at most WIDTH columns that begin with `first` and `rest`; a word that fits on none is cut."""
    lines: list[str] = []
    line, empty = first, True
    for word in _pieces(words, WIDTH - max(len(first), len(rest))):
        if not empty and columns(line) + 1 + columns(word) > WIDTH:
            lines.append(line)
            line, empty = rest, True
        line += word if empty else f" {word}"
        empty = False
    return [*lines, line]


def fingerprints(findings: Sequence[Finding]) -> list[str]:
    """A digest for each finding, by which a service knows it again after lines have moved; no two are the same."""
    seen: Counter[str] = Counter()
    found = []
    for item in findings:
        words = (item.rule, item.file, item.path, item.model, item.environment, item.message)
        about = json.dumps(words)
        seen[about] += 1
        found.append(hashlib.sha256(f"{about}{seen[about]}".encode()).hexdigest()[:32])
    return found


def _pieces(words: str, room: int) -> Iterator[str]:
    for word in words.split():
        while columns(word) > room and not _WHOLE.match(word):
            end = _fitting(word, room)
            yield word[:end]
            word = word[end:]  # noqa: PLW2901  # what is left of it
        yield word


def _fitting(text: str, limit: int) -> int:
    """How many characters of the text fit on `limit` columns."""
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
