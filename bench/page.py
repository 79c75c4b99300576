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
    "bare client": "a bare HTTP client: the same lists and files as in the first contact, nothing kept",
    "first contact": "first contact: nothing is known; every MLmodel is read from the server",
    "kustomize alone": "kustomize alone: the same overlays in batches of 150, nothing read, nothing checked",
    "cold render": "render into an empty tree; facts of versions are known",
    "cold validate": "validate; no result is cached",
    "cold": "**cold render + validate**",
    "reading loop": "a Python loop that reads every file of the tree",
    "no-op render": "render, nothing changed",
    "no-op validate": "validate, nothing changed",
    "check": "`m2g render --check`, nothing changed",
    "no cache": "`m2g render --check --no-cache`, nothing changed",
    "one alias moved": "render, one alias moved",
    "validate after one change": "validate after that change",
    "diff of one change": "`m2g diff` of that change",
    "validate Flux": "validate the same fleet in a repository for Flux; no result is cached",
    "flate": "`flate test all` of the repository for Flux: every Kustomization, no schemas, no rules",
}
_MEASURED = """\
Measured on {of.date}: {of.machine}, kustomize {of.kustomize}, MLflow 3 on {of.database} with one worker on the same
machine. The numbers are medians. Each floor and m2g ran in turn in the same run.
"""
_FLOORS = {
    "first contact": "bare client",
    "cold": "kustomize alone",
    "cold validate": "kustomize alone",
    "no-op render": "reading loop",
    "no-op validate": "reading loop",
    "flate": "validate Flux",
}
"""What a row is compared with: the lowest possible time of the same work, or m2g."""
Row = tuple[str, str, str, str]


def list_goals(results: Results) -> Iterator[Row]:
    """The goals as (goal, target, measured, reached or missed)."""
    for size in (1000, 10_000):
        for what, words, most in (("cold", "render + validate", 1.5), ("cold validate", "validate", 1.2)):
            yield from _over(results, size, what, f"cold {words} over kustomize alone", most)
    yield from _over(results, 1000, "first contact", "first contact over a bare client", 1.5)
    loop, none = results.of(1000, "reading loop"), results.of(1000, "no-op render")
    one = results.of(1000, "one alias moved")
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
    python, helped = results.start.get("bare Python"), results.start.get("m2g --help")
    if python is not None and helped is not None:
        yield _at_most("`m2g --help` over bare Python, wall", 5, helped.wall / python.wall)


def _over(results: Results, size: int, what: str, words: str, wanted: float) -> Iterator[Row]:
    """The wall time over that of the floor, with the processor time beside it: a busy machine changes it less."""
    own, floor = results.of(size, what), results.of(size, _FLOORS[what])
    if own is not None and floor is not None:
        row = _at_most(f"{words}, {size:,} models, wall", wanted, own.wall / floor.wall)
        yield (*row[:2], f"{row[2]} (processor time {own.cpu / floor.cpu:.2g})", row[3])


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


_HEAD = ("what", "wall s", "CPU s", "MiB", "calls", "builds", "times the floor: wall", "CPU")


def _rows(results: Results, size: int) -> Iterator[tuple[str, ...]]:
    for what, words in _WHAT.items():
        sample = results.of(size, what)
        if sample is None:
            continue
        floor = results.of(size, _FLOORS.get(what, ""))
        ratio = ("", "") if floor is None else (f"{sample.wall / floor.wall:.2g}", f"{sample.cpu / floor.cpu:.2g}")
        yield (words, *_figures(sample), str(sample.calls), str(sample.builds), *ratio)


def _others(results: Results) -> Iterator[tuple[str, ...]]:
    for what, sample in {**results.start, **results.others}.items():
        yield (what, *_figures(sample))


def _figures(sample: Sample) -> tuple[str, str, str]:
    peak = f"{sample.peak:.0f}" if sample.peak else ""
    return _number(sample.wall), _number(sample.cpu), peak


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


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
