"""Make text from outside harmless in terminals and in Markdown."""

from __future__ import annotations

import functools
import re
import unicodedata

_MARKUP = re.compile(r"[\\`*_{}\[\]()<>#|~!@$&:]|\b(?:https?|ftp|www)(?=\.)", re.IGNORECASE)
"""Markup, and prefixes that GitHub turns into links. A prefix before a colon is harmless once the colon is escaped."""
_ENTITIES = {"<": "&lt;", ">": "&gt;", "@": "&#64;", "#": "&#35;"}
_TICKS = re.compile("`+")
_LINE_COMMAND = re.compile(r"(?:^|(?<=\r))(\s*):(?=:)", re.MULTILINE)
"""`::name::`, a command of GitHub's and Gitea's runner at the start of a line."""
_INLINE_COMMAND = re.compile(r"##(?=[\w.-]*\[)")
"""`##[name]` and `##vso[name]`, commands of GitHub's and Azure's runner, and `##teamcity[name]`, anywhere in a line."""
_INVISIBLE = frozenset("Cc Cf Cs Co Cn Zl Zp".split())
DEFAULT_LIMIT = 200
IN_JSON = "#\\u0023"
"""`##` in a string of JSON, which keeps its value."""


def make_visible(text: str, limit: int = DEFAULT_LIMIT) -> str:
    """One line of at most `limit` characters without invisible characters.

    Control, format (bidi, zero-width), surrogate and unassigned characters become `\\uXXXX`, so that they cannot
    deceive a terminal or a reviewer.
    """
    if len(text) <= limit and text.isprintable():
        return text
    shown = "".join(f"\\u{ord(c):04x}" if unicodedata.category(c) in _INVISIBLE else c for c in text[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def show_controls(text: str) -> str:
    """`text` with its lines and tabs, and every other character that cannot be seen as `\\uXXXX`."""
    if text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return "".join(f"\\u{ord(c):04x}" if unicodedata.category(c) in _INVISIBLE and c not in "\n\t" else c for c in text)


def disarm_commands(text: str) -> str:
    """`text` for the log of a CI service, without commands of its runner."""
    return disarm_inline_commands(_LINE_COMMAND.sub(r"\1: ", text))


def disarm_inline_commands(text: str, instead: str = "## ") -> str:
    """`text` without those commands that a runner finds anywhere in a line. `instead` replaces their `##`."""
    return _INLINE_COMMAND.sub(lambda _: instead, text)


def escape_markdown(text: str, limit: int = DEFAULT_LIMIT) -> str:
    """`text` as plain text for a Markdown table cell, without markup, HTML, mentions, issue numbers or links."""
    return _cell(text[: limit + 1], limit)


@functools.lru_cache(maxsize=1 << 10)  # environments, versions, metrics and reasons repeat
def _cell(text: str, limit: int) -> str:
    return _MARKUP.sub(_escape, make_visible(text, limit))


def _escape(match: re.Match[str]) -> str:
    mark = match[0]
    if len(mark) > 1:
        return f"{mark[0]}&#{ord(mark[1])};{mark[2:]}"
    return _ENTITIES.get(mark) or f"\\{mark}"


def format_code(text: str, limit: int = DEFAULT_LIMIT) -> str:
    """`text` as a code span for a table cell. Pipes and backticks in the text cannot end the span."""
    shown = make_visible(text, limit).replace("|", "\\|")
    fence = _fence(shown, 1)
    pad = " " if shown[:1] == "`" or shown[-1:] == "`" or not shown else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def format_code_block(text: str, language: str = "") -> str:
    """`text` as a fenced code block. The fence is longer than any run of backticks in the text."""
    fence = _fence(text, 3)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def _fence(text: str, least: int) -> str:
    return "`" * max(least, max(map(len, _TICKS.findall(text)), default=0) + 1)


_MAX_LINE = 300


def to_one_line(text: str) -> str:
    """Text from outside for a message: one printable line of limited length, without secrets that the limit could
    cut."""
    from m2g.core.redact import redact  # only where something failed

    text = redact(text)
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * _MAX_LINE]).split())
    return line if len(line) <= _MAX_LINE else f"{line[:_MAX_LINE]}…"
