"""Render docs/performance.md and the table for the terminal from the results of the bench."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.measure import Sample
from bench.results import Results
from m2g.core.sanitize import escape_markdown as escaped

PAGE = Path(__file__).parents[1] / "docs/performance.md"
PROSE = Path(__file__).parent / "prose.md"
_WHAT = {
    "first contact": "first contact: nothing is known; every MLmodel is read from the server",
    "cold render": "render into an empty tree; facts of versions are known",
    "cold validate": "validate; no result is cached",
    "cold": "**cold render + validate**",
    "no-op render": "render, nothing changed",
    "no-op validate": "validate, nothing changed",
    "check": "`m2g render --check`, nothing changed",
    "no cache": "`m2g render --check --no-cache`, nothing changed",
    "one alias moved": "render, one alias moved",
    "validate after one change": "validate after that change",
    "diff of one change": "`m2g diff` of that change",
    "reading loop": "a Python loop that reads every file of the tree",
    "kustomize alone": "kustomize alone: the same overlays in batches of 150, nothing read, nothing checked",
    "naive": "the naive peer, render + validate",
}
_MEASURED = """\
Measured on {of.date}: {of.machine}, kustomize {of.kustomize}, MLflow 3 on {of.database} with one worker on the same
machine. The numbers are medians. The peer and m2g ran in turn in the same run.
"""
_ALONE = ("naive", "reading loop", "cold render", "cold validate", "first contact", "no cache")
"""Rows without a ratio, because they do not do the same work as the peer."""
Row = tuple[str, str, str, str]


def list_goals(results: Results) -> Iterator[Row]:
    """The goals as (goal, target, measured, reached or missed)."""
    yield from _cold(results)
    loop, none, one = (results.of(1000, what) for what in ("reading loop", "no-op render", "one alias moved"))
    if loop is not None and none is not None and one is not None:
        yield _at_most("no-op, 1,000 models: processor time over that of the reading loop", 2.5, none.cpu / loop.cpu)
        yield _at_most("no-op, 1,000 models: kustomize processes", 0, none.builds)
        yield _at_most(
            "one alias moved, 1,000 models: seconds of processor time above a no-op", 0.3, one.cpu - none.cpu
        )
    validated, changed = results.of(1000, "no-op validate"), results.of(1000, "validate after one change")
    if validated is not None and changed is not None:
        over = changed.cpu - validated.cpu
        yield _at_most("validate after one change, 1,000 models: seconds above a no-op", 0.3, over)
    exponent = results.exponent("cold", 100, 10_000)
    if exponent is not None:
        yield _at_most("growth of cold processor time, 100 to 10,000 models: exponent", 1.05, exponent)
    yield from _counts(results)
    python, words = results.start.get("bare Python"), results.start.get("m2g --help")
    if python is not None and words is not None:
        yield _at_most("`m2g --help` over bare Python, wall", 5, words.wall / python.wall)


def _cold(results: Results) -> Iterator[Row]:
    """Cold runs compared with the peer. A missed goal also shows the ratio that kustomize alone would reach."""
    for size, wall, cpu in ((100, 30, 0), (1000, 75, 55), (10_000, 75, 0)):
        cold, naive, floor = results.of(size, "cold"), results.naive(size), results.of(size, "kustomize alone")
        if cold is None or naive is None:
            continue
        fitted = " against the peer as fitted" if naive[1] else ""
        for word, wanted in (("wall", wall), ("cpu", cpu)):
            peer, own = getattr(naive[0], word), getattr(cold, word)
            what = f"cold, {size:,} models, {'wall' if word == 'wall' else 'processor time'}{fitted}"
            row = _at_least(what, wanted, peer / own)
            if row[-1] == "missed" and floor is not None:
                row = (*row[:-1], f"missed; kustomize alone: {peer / getattr(floor, word):.0f}×")
            if wanted:
                yield row


def _counts(results: Results) -> Iterator[Row]:
    for size in results.sizes():
        render, validate = results.of(size, "cold render"), results.of(size, "cold validate")
        if render is None or validate is None:
            continue
        yield _at_most(f"{size:,} models: kustomize processes", -(-size * 3 // 150), validate.builds)
        yield _at_most(f"{size:,} models: list calls", -(-size // 1000) - (-size * 2 // 10_000) + 5, render.calls)
        limit = {1000: 64, 10_000: 200}.get(size)
        if limit:
            yield _at_most(f"{size:,} models: peak memory, MiB", limit, max(render.peak, validate.peak))


def render_markdown(results: Results) -> str:
    """The complete page."""
    parts = [
        "<!-- Written by `make bench` from bench/results.json and bench/prose.md; do not edit. -->\n",
        "# Performance\n",
        _MEASURED.format(of=results),
        "![Processor time against the size of the fleet](performance.svg)\n",
        "## Goals\n",
        _markdown_table(("goal", "target", "measured", ""), list_goals(results)),
        "## Measured\n",
    ]
    for size in results.sizes():
        parts += [f"### {size:,} models in 3 environments\n", _markdown_table(_HEAD, _rows(results, size))]
    parts += ["### Others\n", _markdown_table(_HEAD[:4], (row[:4] for row in _others(results)))]
    return "\n".join([*parts, PROSE.read_text()])


def render_table(results: Results) -> str:
    """The tables for a terminal."""
    lines = [f"MLflow on {results.database}", ""]
    for size in results.sizes():
        lines += [f"{size:,} models in 3 environments", *_plain(_HEAD, list(_rows(results, size))), ""]
    lines += ["others", *_plain(_HEAD[:4], [row[:4] for row in _others(results)]), ""]
    lines += ["goals", *_plain(("goal", "target", "measured", ""), list(list_goals(results)))]
    return "\n".join(line.rstrip() for line in lines).replace("**", "").replace("`", "") + "\n"


_HEAD = ("what", "wall s", "CPU s", "MiB", "calls", "builds", "peer / this: wall", "CPU")


def _rows(results: Results, size: int) -> Iterator[tuple[str, ...]]:
    naive = results.naive(size)
    for what, words in _WHAT.items():
        sample = results.of(size, what)
        fitted = what == "naive" and sample is None and naive is not None
        if sample is None and naive is not None and fitted:
            sample = naive[0]
        if sample is None:
            continue
        ratio = ("", "")
        if naive is not None and what not in _ALONE:
            ratio = (f"{naive[0].wall / sample.wall:,.0f}×", f"{naive[0].cpu / sample.cpu:,.0f}×")
        yield (
            f"{words}{' (fitted)' if fitted else ''}",
            *_figures(sample),
            str(sample.calls),
            str(sample.builds),
            *ratio,
        )


def _others(results: Results) -> Iterator[tuple[str, ...]]:
    for what, sample in {**results.start, **results.others}.items():
        yield (what, *_figures(sample))


def _figures(sample: Sample) -> tuple[str, str, str]:
    peak = f"{sample.peak:.0f}" if sample.peak else ""
    return _number(sample.wall), _number(sample.cpu), peak


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _at_least(what: str, wanted: float, got: float) -> Row:
    return what, f"≥ {wanted:g}×", f"{got:.0f}×", "reached" if got >= wanted else "missed"


def _at_most(what: str, wanted: float, got: float) -> Row:
    return what, f"≤ {wanted:g}", f"{got:.3g}", "reached" if got <= wanted else "missed"


def _markdown_table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += (
        f"| {' | '.join(cell if '`' in cell or '**' in cell else escaped(cell) for cell in row)} |" for row in rows
    )
    return "\n".join(lines) + "\n"


def _plain(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    return [
        "  "
        + "  ".join(
            cell.ljust(width) if not column else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in (head, *rows)
    ]
