"""`m2g assess` as one HTML page: counts that open into the names behind them, and what changes each.

The page needs nothing else: no script, no font, no image. Its policy forbids the browser to load or run anything, so a
name that would be markup is text even if the escaping had a hole.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from html import escape

from m2g.core.results import AssessedVersion, Assessment
from m2g.core.sanitize import make_visible
from m2g.report.assess_words import PROBLEMS, TITLES, WRITE
from m2g.report.layout import count

_LONG = 2000
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1c1e21; }
h1 { font-size: 1.4rem; } summary { cursor: pointer; padding: .3rem 0; } summary b { display: inline-block;
min-width: 3rem; text-align: right; margin-right: .6rem; } table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border-top: 1px solid #d8dbe0; }
td { overflow-wrap: anywhere; } code { background: #f0f1f4; padding: 0 .25rem; white-space: pre-wrap; }
footer { margin-top: 2rem; border-top: 1px solid #d8dbe0; padding-top: .5rem; }
@media (prefers-color-scheme: dark) { body { background: #16181c; color: #e6e8eb; } code { background: #262a31; } }
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'"


def render(assessment: Assessment) -> str:
    """The page. Every text of the registry is escaped and cut."""
    return "\n".join(_list_parts(assessment)) + "\n"


def _list_parts(assessment: Assessment) -> Iterator[str]:
    versions = assessment.versions
    yield "<!DOCTYPE html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield '<meta name="referrer" content="no-referrer">'
    yield f"<title>m2g assess: {_text(assessment.registry)}</title><style>{_STYLE}</style></head><body>"
    yield f"<h1>What KServe {_text(assessment.kserve)} can serve of {_text(assessment.registry)}</h1>"
    looked = f"{count(assessment.models, 'registered model')}, {count(len(versions), 'version')} looked at"
    yield f"<p>{looked}. Open a line to see the models and what changes them.</p>"
    for outcome, title in TITLES.items():
        yield from _list_outcome(title, [one for one in versions if one.outcome == outcome])
    if assessment.idle:
        yield from _open(len(assessment.idle), "these have no version that is READY")
        yield f"<p>{', '.join(map(_text, assessment.idle))}</p></details>"
    for kind, title in PROBLEMS.items():
        found = [(one, problem) for one in versions for problem in one.problems if problem.kind == kind]
        if found:
            yield from _open(len({(one.model, one.version) for one, _ in found}), title)
            rows = [(_name(one), _text(problem.message), _code(problem.step)) for one, problem in found]
            yield from _list_rows(("model", "why", "what changes it"), rows)
            yield "</details>"
    if assessment.packages:
        yield from _open(
            len(assessment.packages), "package sets, each with the versions that were logged with exactly it"
        )
        rows = [
            (_text(", ".join(one.versions)), _text(one.python), _code("\n".join(one.requirements)))
            for one in assessment.packages
        ]
        yield from _list_rows(("versions", "Python", "requirements"), rows)
        yield "</details>"
    for rewrite in assessment.rewrites:
        yield f"<p>The server keeps its files in {_code(rewrite.to)}. {_code(WRITE)} adds that to m2g.yaml.</p>"
    if assessment.written:
        yield f"<p>Written: {_text(', '.join(assessment.written))}</p>"
    yield f"<footer>Next: {_text(assessment.next)}</footer></body></html>"


def _list_outcome(title: str, versions: Sequence[AssessedVersion]) -> Iterator[str]:
    if not versions:
        return
    yield from _open(len(versions), title)
    servers = Counter(one.server for one in versions if one.server)
    if len(servers) > 1:
        yield f"<p>{', '.join(f'{number} by {_text(server)}' for server, number in servers.most_common())}</p>"
    same: dict[tuple[str, str], list[AssessedVersion]] = defaultdict(list)
    for one in versions:
        same[one.why, one.log_again].append(one)
    rows = []
    for (why, log_again), group in same.items():
        for one in group:
            facts = ", ".join(filter(None, (*one.wanted, one.flavor, one.python and f"Python {one.python}")))
            steps = [step for step in dict.fromkeys((one.step, log_again)) if step]
            rows.append((_name(one), _text(facts), _text(why), "<br>or ".join(map(_code, steps))))
    yield from _list_rows(("model", "wanted by", "why", "what changes it"), rows)
    yield "</details>"


def _open(number: int, title: str) -> Iterator[str]:
    yield f"<details><summary><b>{number}</b>{_text(title)}</summary>"


def _list_rows(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield "<table><tr>" + "".join(f"<th>{title}</th>" for title in titles) + "</tr>"
    for row in rows:
        yield "<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>"
    yield "</table>"


def _name(one: AssessedVersion) -> str:
    return f"{_text(one.model)} {_text(one.version)}"


def _text(text: str) -> str:
    return escape(make_visible(text, _LONG), quote=True)


def _code(text: str) -> str:
    return f"<code>{'<br>'.join(_text(line) for line in text.splitlines())}</code>" if text else ""
