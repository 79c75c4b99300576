"""Two signatures → whether callers of the old version can call the new one.

The rules are those of MLflow's schema enforcement (mlflow.models.utils): columns by name, additional ones are
dropped, a type is cast where nothing can be lost, unknown parameters are ignored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from m2g.core.model import Field, Signature
from m2g.review.values import Contract, Verdict

_Found: TypeAlias = tuple[Verdict, str]
_WIDER = {("integer", "long"), ("integer", "double"), ("float", "double")}
_ORDER = (Verdict.BREAKING, Verdict.ADDITIVE, Verdict.COMPATIBLE)


def compare(before: Signature | None, after: Signature | None) -> Contract:
    """The verdict, with every difference."""
    old, new = before or Signature(), after or Signature()
    if old == new:
        nothing = old == Signature()
        return Contract(verdict=Verdict.UNKNOWN if nothing else Verdict.COMPATIBLE)
    found = [
        *_side("input", old.inputs, new.inputs, _input),
        *_side("output", old.outputs, new.outputs, _output),
        *_side("parameter", old.params, new.params, _parameter),
    ]
    found.sort(key=lambda item: _ORDER.index(item[0]))
    verdict = found[0][0] if found else Verdict.COMPATIBLE
    return Contract(verdict=verdict, reasons=tuple(reason for _, reason in found))


def _side(word: str, before: Sequence[Field] | None, after: Sequence[Field] | None, judge: _Judge) -> Iterator[_Found]:
    if before is None and after is None:
        return
    if after is None:
        if word == "parameter" and not before:
            return
        yield Verdict.BREAKING, f"the new version does not say its {word}s any more"
    elif before is None:
        if word != "parameter":
            yield Verdict.ADDITIVE, f"the {word}s are described for the first time, so requests are checked now"
        else:
            yield from (judge(None, field, f"parameter {_name(field, 0)}") for field in after)
    else:
        old, new = _keyed(before), _keyed(after)
        for key in [*old, *(key for key in new if key not in old)]:
            if old.get(key) != new.get(key):
                yield judge(old.get(key), new.get(key), f"{word} {key}")


class _Judge:
    """What a difference of one field means; inputs and parameters are given by callers, outputs are taken."""

    def __init__(self, *, removed: _Found, added: _Found, required: _Found, optional: _Found, widens: bool) -> None:
        self.removed, self.added, self.required, self.optional = removed, added, required, optional
        self.widens = widens

    def __call__(self, before: Field | None, after: Field | None, what: str) -> _Found:
        if after is None:
            return self._said(self.removed, what)
        if before is None:
            needed = after.required and self.required[0] is Verdict.BREAKING
            return self._said(self.required if needed else self.added, what, f" ({_type(after)})")
        if before.type != after.type:
            safe = self.widens and (before.type, after.type) in _WIDER
            verdict = Verdict.ADDITIVE if safe else Verdict.BREAKING
            return verdict, f"{what} is {after.type}, was {before.type}"
        if before.shape != after.shape:
            safe = self.widens and _accepts(before.shape, after.shape)
            verdict = Verdict.ADDITIVE if safe else Verdict.BREAKING
            return verdict, f"{what} has shape {_shape(after)}, had {_shape(before)}"
        return self._said(self.required if after.required else self.optional, what)

    @staticmethod
    def _said(found: _Found, what: str, about: str = "") -> _Found:
        return found[0], f"{what}{about} {found[1]}"


_input = _Judge(
    removed=(Verdict.BREAKING, "was removed; what callers send for it is dropped"),
    added=(Verdict.ADDITIVE, "is new and optional"),
    required=(Verdict.BREAKING, "is required now"),
    optional=(Verdict.ADDITIVE, "is optional now"),
    widens=True,
)
_output = _Judge(
    removed=(Verdict.BREAKING, "was removed"),
    added=(Verdict.ADDITIVE, "is new"),
    required=(Verdict.ADDITIVE, "is always there now"),
    optional=(Verdict.BREAKING, "may be missing now"),
    widens=False,
)
_parameter = _Judge(
    removed=(Verdict.BREAKING, "was removed; what callers send for it is ignored"),
    added=(Verdict.ADDITIVE, "is new"),
    required=(Verdict.ADDITIVE, "is new"),
    optional=(Verdict.COMPATIBLE, "is optional"),
    widens=True,
)


def _keyed(fields: Sequence[Field]) -> dict[str, Field]:
    return {_name(field, index): field for index, field in enumerate(fields)}


def _name(field: Field, index: int) -> str:
    return f"'{field.name}'" if field.name else f"number {index + 1}"


def _type(field: Field) -> str:
    return field.type if field.shape is None else f"{field.type} {_shape(field)}"


def _shape(field: Field) -> str:
    return "×".join("any" if size < 0 else str(size) for size in field.shape or ()) or "none"


def _accepts(before: tuple[int, ...] | None, after: tuple[int, ...] | None) -> bool:
    """Whether every tensor of the old shape has the new one; -1 is any size."""
    if before is None or after is None or len(before) != len(after):
        return False
    return all(new in (old, -1) for old, new in zip(before, after, strict=True))
