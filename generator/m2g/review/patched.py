"""Say what changed in the setting `patch`: one line for each operation, with the risk of the field that it changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from m2g.core.json_patch import parse_pointer
from m2g.core.redact import redact
from m2g.core.settings import list_fields
from m2g.review import fields, power
from m2g.review.values import Concern, Risk

_SHOWN = 200


def describe_operations(path: str, place: fields.FieldSteps, before: object, after: object) -> Iterator[Concern]:
    """The operations that one side has and the other has not, the riskiest first; or that only their order changed."""
    old, new = (side if isinstance(side, list) else [side] if side is not None else [] for side in (before, after))
    title, decides = f"{path}: {fields.format_steps(place)}", list_fields()["patch"].row.decides
    found = [
        Concern(risk=_judge(one), message=f"{title} {verb} {_show(one)}; it decides {decides}")
        for verb, here, there in (("no longer does", old, new), ("does", new, old))
        for one in here
        if one not in there
    ]
    yield from sorted(found, key=lambda one: list(Risk).index(one.risk))
    if not found:
        yield Concern(risk=Risk.POWERFUL, message=f"{title}: the order of the operations changed")


def _judge(operation: object) -> Risk:
    pointer = operation.get("path") if isinstance(operation, Mapping) else None
    if not isinstance(pointer, str):
        return Risk.POWERFUL
    return power.judge_field(tuple(int(key) if key.isdigit() else key for key in parse_pointer(pointer)))


def _show(operation: object) -> str:
    if not isinstance(operation, Mapping):
        return redact(str(operation))[:_SHOWN]
    words = f"{operation.get('op')} {operation.get('path')}"
    return redact(f"{words} = {operation['value']}" if "value" in operation else words)[:_SHOWN]
