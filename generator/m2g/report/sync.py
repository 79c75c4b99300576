"""The result of `m2g sync` as text and JSON."""

from __future__ import annotations

import msgspec

from m2g.core.sanitize import make_visible
from m2g.delivery.values import Action, Proposal, SyncResult
from m2g.report.layout import count, encode_json, join_lines

_SIGNS = {
    Action.COMMIT: "»",
    Action.CREATE: "+",
    Action.UPDATE: "~",
    Action.CLOSE: "-",
    Action.LEAVE: " ",
    Action.WAIT: "!",
}
_WOULD = {Action.COMMIT: "commit", Action.CREATE: "create", Action.UPDATE: "update", Action.CLOSE: "close"}


def render_text(result: SyncResult) -> str:
    """A line for each proposal, with the reason below it, and a summary."""
    lines: list[str] = []
    for one in result.proposals:
        lines += _format(one)
    return join_lines([*lines, summarize(result)])


def _format(one: Proposal) -> list[str]:
    number = f" #{one.number}" if one.number else ""
    title = f"  {make_visible(one.title, 120)}" if one.title else ""
    lines = [f"{_SIGNS[one.action]} {one.action}{number} {one.branch}{title}", f"    {make_visible(one.why, 300)}"]
    if one.url and one.action in (Action.CREATE, Action.UPDATE):
        lines.append(f"    {make_visible(one.url, 300)}")
    return lines


def summarize(result: SyncResult) -> str:
    """The last line."""
    numbers = {action: sum(one.action is action for one in result.proposals) for action in Action}
    done = ", ".join(
        f"{numbers[action]} to {word}" if result.dry_run else f"{numbers[action]} {action}d"
        for action, word in _WOULD.items()
        if numbers[action]
    ).replace("commitd", "committed")
    waiting = f"; {numbers[Action.WAIT]} waiting" if numbers[Action.WAIT] else ""
    left = f"; {count(numbers[Action.LEAVE], 'proposal')} left as it is" if numbers[Action.LEAVE] else ""
    left = left.replace("proposals left as it is", "proposals left as they are")
    problems = f"; {count(len(result.problems), 'problem')}" if result.problems else ""
    findings = f"; {count(len(result.findings), 'finding')}" if result.findings else ""
    return f"{result.branch}: {done or 'nothing to do'}{waiting}{left}{findings}{problems}"


def render_json(result: SyncResult) -> str:
    """One object; its shape is m2g.delivery.values.SyncResult with `version: 1`, documented in docs/reference."""
    return encode_json({"version": 1, **msgspec.to_builtins(result)})
