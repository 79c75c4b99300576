"""`m2g assess` as text and JSON."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import msgspec

from m2g.core.results import AssessedVersion, Assessment
from m2g.core.sanitize import make_visible
from m2g.report import assess_html
from m2g.report.assess_words import PROBLEMS, TITLES, WRITE
from m2g.report.layout import count, encode_json, join_lines, wrap

_LONG = 600


def render(assessment: Assessment, form: str, width: int) -> str:
    """The whole assessment as `text` of at most `width` columns, as `json`, or as a page in `html`."""
    if form == "json":
        return encode_json({"version": 1, **msgspec.to_builtins(assessment)})
    if form == "html":
        return assess_html.render(assessment)
    return join_lines(_lines(assessment, width))


def _lines(assessment: Assessment, width: int) -> Iterator[str]:
    versions = assessment.versions
    yield f"{make_visible(assessment.registry)}, for KServe {assessment.kserve}"
    yield f"{count(assessment.models, 'registered model')}, {count(len(versions), 'version')} looked at"
    yield ""
    counts = Counter(one.outcome for one in versions)
    for outcome, title in TITLES.items():
        if counts[outcome]:
            sets = {one.packages for one in versions if one.outcome == outcome and one.packages}
            different = f" ({count(len(sets), 'package set')})" if sets else ""
            yield from wrap(f"{title}{different}", f"{counts[outcome]:>6}  ", " " * 8, width)
    if assessment.idle:
        idle = f"these have no version that is READY: {_join(assessment.idle)}"
        yield from wrap(idle, f"{len(assessment.idle):>6}  ", " " * 8, width)
    for kind, title in PROBLEMS.items():
        found = sum(any(problem.kind == kind for problem in one.problems) for one in versions)
        if found:
            yield f"{found:>6}  {title}"
    for outcome, title in TITLES.items():
        group = [one for one in versions if one.outcome == outcome]
        if group:
            yield ""
            yield f"{title[0].upper()}{title[1:]}:"
            yield from _list_group(group, width)
    for kind, title in PROBLEMS.items():
        yield from _list_problems(kind, title, versions, width)
    for rewrite in assessment.rewrites:
        yield ""
        where = f"the server keeps its files in {rewrite.to}; {WRITE} adds that to storage.rewrites"
        yield from wrap(make_visible(where, _LONG), "", "  ", width)
    if assessment.written:
        yield ""
        yield from wrap(f"written: {', '.join(assessment.written)}", "", "  ", width)
    yield ""
    yield f"next: {assessment.next}"


def _list_group(group: Sequence[AssessedVersion], width: int) -> Iterator[str]:
    """The versions of one outcome; those with one reason and one step stand together."""
    same: dict[tuple[str, str], list[AssessedVersion]] = defaultdict(list)
    for one in group:
        why = one.why if one.outcome != "serves" else ""
        same[why, one.log_again].append(one)
    for (why, log_again), versions in same.items():
        for one in versions:
            facts = ", ".join(filter(None, (*one.wanted, one.flavor, one.python and f"Python {one.python}")))
            served = f" by {one.server}" if one.outcome in ("serves", "unsure") else ""
            yield from wrap(f"{_name(one)}{served} ({make_visible(facts)})", "  ", "      ", width)
        if why:
            yield from wrap(make_visible(why, _LONG), "    ", "    ", width)
        steps = [one.step for one in versions if one.step]
        for step in steps[:1]:
            yield from wrap(make_visible(step, _LONG), "    → ", "      ", width)
        if log_again and log_again not in steps:
            yield from wrap(f"or {make_visible(log_again, _LONG)}", "    → ", "      ", width)


def _list_problems(kind: str, title: str, versions: Sequence[AssessedVersion], width: int) -> Iterator[str]:
    by_step: dict[str, list[tuple[AssessedVersion, str]]] = defaultdict(list)
    for one in versions:
        for problem in one.problems:
            if problem.kind == kind:
                by_step[problem.step].append((one, problem.message))
    if by_step:
        yield ""
        yield f"{title[0].upper()}{title[1:]}:"
    for step, found in by_step.items():
        yield from wrap(", ".join(_name(one) for one, _ in found), "  ", "  ", width)
        yield from wrap(make_visible(found[0][1], _LONG), "    ", "    ", width)
        yield from wrap(make_visible(step, _LONG), "    → ", "      ", width)


def _name(one: AssessedVersion) -> str:
    return f"{make_visible(one.model)} {one.version}"


def _join(names: Sequence[str]) -> str:
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return f"{', '.join(make_visible(name) for name in names[:10])}{more}"
