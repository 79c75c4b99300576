"""Compare two signatures: can callers of the old version call the new one?

The rules are those of MLflow's schema enforcement (mlflow.models.utils): it matches columns by name, drops additional
columns, casts a type if nothing can be lost, and ignores unknown parameters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import msgspec

from m2g.core.model import Field, Signature
from m2g.review.values import Compatibility, Contract

_Difference: TypeAlias = tuple[Compatibility, str]
_WIDER = {("integer", "long"), ("integer", "double"), ("float", "double")}
_ORDER = (Compatibility.BREAKING, Compatibility.ADDITIVE, Compatibility.COMPATIBLE)


def compare(before: Signature | None, after: Signature | None) -> Contract:
    """The verdict, with every difference."""
    old, new = before or Signature(), after or Signature()
    if old == new:
        unsigned = old == Signature()
        return Contract(verdict=Compatibility.UNKNOWN if unsigned else Compatibility.COMPATIBLE)
    differences = [
        *_compare_fields("input", old.inputs, new.inputs, _INPUT),
        *_compare_fields("output", old.outputs, new.outputs, _OUTPUT),
        *_compare_fields("parameter", old.params, new.params, _PARAMETER),
    ]
    differences.sort(key=lambda item: _ORDER.index(item[0]))
    verdict = differences[0][0] if differences else Compatibility.COMPATIBLE
    return Contract(verdict=verdict, reasons=tuple(reason for _, reason in differences))


def _compare_fields(
    word: str, before: Sequence[Field] | None, after: Sequence[Field] | None, rule: _FieldRule
) -> Iterator[_Difference]:
    if before is None and after is None:
        return
    if after is None:
        if word == "parameter" and not before:
            return
        yield Compatibility.BREAKING, f"the new version no longer describes its {word}s"
    elif before is None:
        if word != "parameter":
            checked = ", so MLflow now checks requests" if word == "input" else ""
            yield Compatibility.ADDITIVE, f"the {word}s are described for the first time{checked}"
        else:
            yield from (rule.compare(None, field, f"parameter {_name(field, 0)}") for field in after)
    else:
        old, new = _by_name(before), _by_name(after)
        for key in [*old, *(key for key in new if key not in old)]:
            if old.get(key) != new.get(key):
                yield rule.compare(old.get(key), new.get(key), f"{word} {key}")


class _FieldRule(msgspec.Struct, frozen=True, kw_only=True):
    """What a difference of one field means: callers provide inputs and parameters, and use outputs.

    `widens`: a type or shape may become wider, because callers provide the value.
    """

    removed: _Difference
    added: _Difference
    required: _Difference
    optional: _Difference
    widens: bool

    def compare(self, before: Field | None, after: Field | None, field: str) -> _Difference:
        if after is None:
            return self.removed[0], f"{field} {self.removed[1]}"
        if before is None:
            required = after.required and self.required[0] is Compatibility.BREAKING
            verdict, change = self.required if required else self.added
            return verdict, f"{field} ({_type(after)}) {change}"
        if before.type != after.type:
            safe = self.widens and (before.type, after.type) in _WIDER
            verdict = Compatibility.ADDITIVE if safe else Compatibility.BREAKING
            return verdict, f"{field} changes its type from {before.type} to {after.type}"
        if before.shape != after.shape:
            safe = self.widens and _accepts(before.shape, after.shape)
            verdict = Compatibility.ADDITIVE if safe else Compatibility.BREAKING
            return verdict, f"{field} changes its shape from {_shape(before)} to {_shape(after)}"
        verdict, change = self.required if after.required else self.optional
        return verdict, f"{field} {change}"


_INPUT = _FieldRule(
    removed=(Compatibility.BREAKING, "was removed; MLflow drops what callers send for it"),
    added=(Compatibility.ADDITIVE, "is new and optional"),
    required=(Compatibility.BREAKING, "is now required"),
    optional=(Compatibility.ADDITIVE, "is now optional"),
    widens=True,
)
_OUTPUT = _FieldRule(
    removed=(Compatibility.BREAKING, "was removed"),
    added=(Compatibility.ADDITIVE, "is new"),
    required=(Compatibility.ADDITIVE, "is now always present"),
    optional=(Compatibility.BREAKING, "may now be missing"),
    widens=False,
)
_PARAMETER = _FieldRule(
    removed=(Compatibility.BREAKING, "was removed; MLflow ignores what callers send for it"),
    added=(Compatibility.ADDITIVE, "is new"),
    required=(Compatibility.ADDITIVE, "is new"),
    optional=(Compatibility.COMPATIBLE, "is optional"),
    widens=True,
)


def _by_name(fields: Sequence[Field]) -> dict[str, Field]:
    return {_name(field, index): field for index, field in enumerate(fields)}


def _name(field: Field, index: int) -> str:
    return f"'{field.name}'" if field.name else f"number {index + 1}"


def _type(field: Field) -> str:
    return field.type if field.shape is None else f"{field.type} {_shape(field)}"


def _shape(field: Field) -> str:
    return "×".join("any" if size < 0 else str(size) for size in field.shape or ()) or "none"


def _accepts(before: tuple[int, ...] | None, after: tuple[int, ...] | None) -> bool:
    """Whether every tensor of the old shape also has the new shape; -1 is any size."""
    if before is None or after is None or len(before) != len(after):
        return False
    return all(new in (old, -1) for old, new in zip(before, after, strict=True))
