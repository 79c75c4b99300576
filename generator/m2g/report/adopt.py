"""What `m2g adopt` found, object by object."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from m2g.core.results import AdoptedObject, Adoption
from m2g.core.sanitize import make_visible
from m2g.report.layout import count, encode_json, join_lines, wrap

_SHOWN = 8


def render(result: Adoption, form: str, width: int) -> str:
    """The objects and the next step as text, or everything as JSON."""
    if form == "json":
        return encode_json({"version": 1, **msgspec.to_builtins(result)})
    lines = [line for one in result.objects for line in _describe(one, width)]
    return join_lines([*lines, "", *_summarize(result)])


def _describe(one: AdoptedObject, width: int) -> Iterator[str]:
    name = f"{one.namespace}/{one.name}" if one.namespace else one.name
    model = f" = {one.model} version {one.version} in {one.environment}" if one.model else ""
    yield f"{one.outcome:8} {one.kind} {make_visible(name)} ({make_visible(one.file)}){make_visible(model)}"
    yield from wrap(make_visible(one.reason, 600), "         ", "         ", width)
    for title, fields in (("settings", one.settings), ("component", one.patched), ("lost", one.lost)):
        if fields:
            shown = ", ".join(make_visible(field, 120) for field in fields[:_SHOWN])
            more = f" and {len(fields) - _SHOWN} more" if len(fields) > _SHOWN else ""
            yield from wrap(f"{title}: {shown}{more}", "         ", "           ", width)


def _summarize(result: Adoption) -> Iterator[str]:
    found = {
        outcome: [one for one in result.objects if one.outcome == outcome] for outcome in ("adopted", "kept", "refused")
    }
    summary = ", ".join(f"{len(ones)} {outcome}" for outcome, ones in found.items())
    yield f"{count(len(result.objects), 'object')}: {summary}"
    if result.written:
        yield "next: m2g validate; then stop applying the old manifests (delete the files, not the objects)"
    elif found["adopted"]:
        yield "nothing was written; to adopt them, add --write"
