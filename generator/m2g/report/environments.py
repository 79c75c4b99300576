"""Serving environments as a table and as JSON: the list, the plan, a build context, a recorded image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from m2g.core.environment_results import (
    EnvironmentList,
    EnvironmentRow,
    PlannedEnvironment,
    PlanResult,
    PreparedEnvironment,
    RecordedImage,
)
from m2g.core.sanitize import make_visible
from m2g.report.layout import count, encode_json, format_table, join_lines

_HEAD = ("environment", "shared by", "packages", "added", "image", "releases")
_NAMES = 6
_WIDE = 60


def render_list(rows: Sequence[EnvironmentRow], form: str, width: int = 0) -> str:
    """One line for each environment."""
    if form == "json":
        return encode_json({"version": 1, **msgspec.to_builtins(EnvironmentList(environments=tuple(rows)))})
    if not rows:
        return "there is no serving environment; plan some: m2g environments plan\n"
    return format_table([_HEAD, *(_row(row) for row in rows)], width)


def _row(row: EnvironmentRow) -> tuple[str, ...]:
    owner = f"group {row.group}" if row.group else f"only {row.model}"
    image = "present" if row.image else "missing"
    cells = (row.id, owner, str(row.packages), row.added or "–", image, _some(row.releases) or "none")
    return tuple(make_visible(cell, 200) for cell in cells)


def render_plan(plan: PlanResult, form: str) -> str:
    """Who joins what, what is new, what keeps models apart, and the next command."""
    if form == "json":
        return encode_json({"version": 1, **msgspec.to_builtins(plan)})
    return join_lines(_write_plan(plan))


def _write_plan(plan: PlanResult) -> Iterator[str]:
    for one in plan.joins:
        waits = "" if one.image else ", which waits for its image"
        yield f"{one.id} takes {count(len(one.versions), 'version')}{waits}: {_some(one.versions)}"
    for new in plan.new:
        yield from _write_new(new)
    for apart in plan.apart:
        yield f"apart: {_some(apart.versions)} | {_some(apart.others)}: {make_visible(apart.why, 400)}"
    for left in plan.unplanned:
        yield f"none for {_some(left.versions)}: {make_visible(left.message, 400)}"
        if left.hint:
            yield f"  hint: {make_visible(left.hint, 400)}"
    if plan.unused:
        yield f"not needed: {', '.join(plan.unused)}"
    if not plan.joins and not plan.new and not plan.unplanned:
        yield "no version needs a serving environment: the runtimes of the cluster load them all"
    if plan.written:
        yield "next, write the build context of each: m2g environments context ID -o DIR"
    elif plan.files:
        yield "nothing was written; to add the new ones: m2g environments plan --write"


def render_rebased(plan: PlanResult, form: str) -> str:
    """The environments on a new base, and how releases get there."""
    if form == "json":
        return encode_json({"version": 1, **msgspec.to_builtins(plan)})
    return join_lines(_write_rebased(plan))


def _write_rebased(plan: PlanResult) -> Iterator[str]:
    for new in plan.new:
        yield from _write_new(new)
        yield f"  on {make_visible(new.base, 200)}"
    if not plan.new:
        yield "no environment is on another base image than images.bases in m2g.yaml names"
    elif plan.written:
        yield "next, write the build context of each: m2g environments context ID -o DIR"
        yield "when its image is recorded, move one environment at a time: m2g render --locked --redecide --env NAME"
    else:
        yield "nothing was written; to add them: m2g environments rebase --write"


def _write_new(new: PlannedEnvironment) -> Iterator[str]:
    owner = f"group {new.group}" if new.group else f"only {new.model}"
    head = f"new {new.id}: Python {new.python}, {new.server}, {count(new.packages, 'package')}, {owner}"
    yield make_visible(head, 300)
    yield f"  for {count(len(new.versions), 'version')}: {_some(new.versions)}"
    if new.alone:
        yield f"  alone, because {make_visible(new.alone, 200)}"


def render_prepared(made: PreparedEnvironment, form: str) -> str:
    """The directory, its base image, and how to build it."""
    if form == "json":
        return encode_json({"version": 1, **msgspec.to_builtins(made)})
    verb = "wrote" if made.written else "would write"
    lines = [f"{verb} {make_visible(made.folder, 300)}: {made.id}, {count(len(made.files), 'file')}"]
    lines += [f"  from {made.base}", *(f"  note: {make_visible(note, 400)}" for note in made.notes)]
    if made.image:
        lines.append(f"  push it as {made.image}")
    return join_lines(lines)


def render_recorded(recorded: RecordedImage, form: str) -> str:
    """What the environment's image is now."""
    if form == "json":
        return encode_json({"version": 1, **msgspec.to_builtins(recorded)})
    if not recorded.files:
        return f"{recorded.id} has this image already\n"
    return join_lines([f"{recorded.id} has the image {recorded.image}", "next: m2g render"])


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(make_visible(name, _WIDE) for name in names[:_NAMES])
    return f"{shown} and {len(names) - _NAMES} more" if len(names) > _NAMES else shown
