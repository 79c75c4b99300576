"""Kubernetes quantities: parse them, compare them, and write them as the API server returns them.

Source: k8s.io/apimachinery/pkg/api/resource/quantity.go. Argo CD compares the text of custom resources, so Git must
contain the canonical form (`1000m` becomes `1`, `0.5` becomes `500m`, `2048Mi` becomes `2Gi`).
"""

from __future__ import annotations

import functools
import re
from decimal import ROUND_UP, Decimal

from m2g.core.errors import InputError

_PARTS = re.compile(r"(\+?[0-9]{1,30}(?:\.[0-9]{0,30})?|\+?\.[0-9]{1,30})(m|[eE][0-9]{1,2}|[kMGTPE]i?|Ki|)")
_BINARY = {f"{p}i": Decimal(1024) ** n for n, p in enumerate("KMGTPE", 1)}
_DECIMAL = {"": Decimal(1), "m": Decimal("0.001")} | {p: Decimal(1000) ** n for n, p in enumerate("kMGTPE", 1)}


@functools.lru_cache(maxsize=1 << 10)
def parse(text: str) -> Decimal:
    """The amount in base units (cores, bytes, pieces). Raises InputError for an invalid quantity."""
    found = _PARTS.fullmatch(text)
    if found is None:
        raise InputError(f"{text!r} is not a quantity", hint="write a quantity such as 500m, 2 or 1Gi")
    number, suffix = found.groups()
    if suffix[:1] in ("e", "E") and suffix[1:].isdigit():
        return Decimal(number) * Decimal(10) ** int(suffix[1:])
    return Decimal(number) * (_BINARY.get(suffix) or _DECIMAL[suffix])


@functools.lru_cache(maxsize=1 << 10)
def canonicalize(text: str) -> str:
    """The form that Kubernetes returns. Raises InputError for an invalid quantity."""
    amount = parse(text)
    if text.endswith("i"):
        return _largest(amount, _BINARY) if amount == amount.to_integral_value() else _decimal(amount)
    return _decimal(amount)


def _decimal(amount: Decimal) -> str:
    if amount != amount.to_integral_value():
        milli = (amount * 1000).to_integral_value(rounding=ROUND_UP)
        return str(int(milli // 1000)) if milli % 1000 == 0 else f"{int(milli)}m"
    return _largest(amount, {k: v for k, v in _DECIMAL.items() if v > 1})


def _largest(amount: Decimal, units: dict[str, Decimal]) -> str:
    for suffix, unit in reversed(units.items()):
        if amount and amount % unit == 0:
            return f"{int(amount // unit)}{suffix}"
    return str(int(amount))
