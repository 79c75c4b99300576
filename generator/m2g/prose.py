"""Text that came from outside, made harmless where people read it: Markdown cells and terminals."""

from __future__ import annotations

import re
import unicodedata

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#|~!@$&:])")
_AUTOLINK = re.compile(r"\b(https?|ftp|www)(?=[:.])", re.IGNORECASE)
_USERINFO = re.compile(r"//[^/@\s]+@")
_INVISIBLE = frozenset("Cc Cf Cs Co Cn Zl Zp".split())
DEFAULT_LIMIT = 200


def visible(text: str, limit: int = DEFAULT_LIMIT) -> str:
    """One line of at most `limit` characters in which nothing is hidden.

    Control, format (bidi, zero-width), surrogate and unassigned characters are shown as `\\uXXXX`, so that neither a
    terminal nor a reviewer's eye can be led astray.
    """
    if len(text) <= limit and text.isprintable():
        return text
    shown = "".join(f"\\u{ord(c):04x}" if unicodedata.category(c) in _INVISIBLE else c for c in text[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def markdown(text: str, limit: int = DEFAULT_LIMIT) -> str:
    """`text` as plain words in a Markdown table cell: no markup, HTML, mention, issue number or link comes of it."""
    escaped = _MARKDOWN.sub(r"\\\1", visible(text, limit))
    escaped = escaped.replace("\\<", "&lt;").replace("\\>", "&gt;").replace("\\@", "&#64;").replace("\\#", "&#35;")
    return _AUTOLINK.sub(lambda m: f"{m[0][0]}&#{ord(m[0][1])};{m[0][2:]}", escaped)


def code(text: str, limit: int = DEFAULT_LIMIT) -> str:
    """`text` as a code span for a table cell; pipes and backticks cannot end it."""
    shown = visible(text, limit).replace("|", "\\|")
    longest = max((len(run) for run in re.findall(r"`+", shown)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if shown[:1] == "`" or shown[-1:] == "`" or not shown else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def fenced(text: str, language: str = "") -> str:
    """`text` as a fenced block whose fence is longer than any run of backticks inside."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def without_password(text: str) -> str:
    """`text` with user and password of every URI in it hidden."""
    return _USERINFO.sub("//***@", text)
