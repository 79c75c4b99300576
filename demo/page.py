"""The page at the end of `make demo`: every command with what it printed, and the assessment of the fleet.

It needs nothing else: no script, no font, no image, and the browser may load nothing.
"""

from __future__ import annotations

from html import escape

import msgspec

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1c1e21; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
pre { background: #f0f1f4; padding: .6rem .8rem; overflow-x: auto; font-size: .85rem; } pre b { color: #0b57d0; }
summary { cursor: pointer; } iframe { width: 100%; height: 40rem; border: 1px solid #d8dbe0; background: #fff; }
@media (prefers-color-scheme: dark) { body { background: #16181c; color: #e6e8eb; } pre { background: #262a31; }
pre b { color: #8ab4f8; } }
"""
LONG = 12
"""Longer output is folded."""


class Step(msgspec.Struct):
    """A command, or a line of the demo, with what was printed."""

    line: str
    output: str = ""


class Chapter(msgspec.Struct):
    """A part of the demo."""

    title: str
    steps: list[Step] = []


def render(chapters: list[Chapter], assessment: str) -> str:
    """The page. `assessment` is the HTML of `m2g assess --format html`."""
    parts = [
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>m2g: what make demo did</title><style>{STYLE}</style></head><body>",
        "<h1>From an MLflow registry to a reviewed GitOps repository</h1>",
        "<p>Each command of <code>make demo</code> with what it printed.</p>",
    ]
    for chapter in chapters:
        parts.append(f"<h2>{escape(chapter.title)}</h2>")
        parts += [_step(step) for step in chapter.steps]
    parts.append("<h2>The whole assessment</h2>")
    parts.append(f'<iframe sandbox title="m2g assess" srcdoc="{escape(assessment)}"></iframe></body></html>\n')
    return "\n".join(parts)


def _step(step: Step) -> str:
    if not step.output:
        return f"<pre><b>{escape(step.line)}</b></pre>"
    shown = f"<pre><b>{escape(step.line)}</b>\n{escape(step.output)}</pre>"
    if step.output.count("\n") <= LONG:
        return shown
    return f"<details><summary><code>{escape(step.line)}</code></summary>{shown}</details>"
