"""What Kubernetes requires of requests and limits of one container, beyond that each is a quantity.

Source: kubernetes pkg/apis/core/validation/validation.go, ValidateContainerResourceRequirements. Only cpu, memory and
ephemeral-storage may be overcommitted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import NamedTuple

from m2g.core import quantity
from m2g.core.errors import InputError

PLAIN = ("cpu", "memory", "ephemeral-storage")
"""Resources of which a container may request less than its limit, and fractions."""
_HUGE_PAGES = "hugepages-"


class Problem(NamedTuple):
    """A problem of one amount: `side` is requests or limits."""

    side: str
    name: str
    message: str
    hint: str


def find_problems(requests: Mapping[str, object], limits: Mapping[str, object]) -> Iterator[Problem]:
    """What Kubernetes refuses. Amounts that are no quantities are left to others."""
    for name, given in requests.items():
        request, limit = _amount(given), _amount(limits.get(name))
        if request is None:
            continue
        if name not in PLAIN and limit is None:
            hint = f"set the limit of {name} to {given}, too"
            yield Problem("requests", name, f"is {given}, but {name} has no limit", hint)
        elif limit is None:
            continue
        elif name not in PLAIN and request != limit:
            message = f"is {given}, not equal to the limit of {limits[name]}, as Kubernetes requires for {name}"
            yield Problem("requests", name, message, "set both to the same amount")
        elif request > limit:
            message = f"is {given}, above the limit of {limits[name]}"
            yield Problem("requests", name, message, "raise the limit or lower the request")
    for side, amounts in (("requests", requests), ("limits", limits)):
        for name, given in amounts.items():
            amount = _amount(given)
            if "/" in name and amount is not None and amount != amount.to_integral_value():
                yield Problem(side, name, f"is {given}; {name} is counted in whole pieces", "set a whole number")
    names = {*requests, *limits}
    huge = sorted(name for name in names if name.startswith(_HUGE_PAGES))
    if huge and not {"cpu", "memory"} & names:
        side = "limits" if huge[0] in limits else "requests"
        hint = "set the request or the limit of cpu or memory"
        yield Problem(side, huge[0], "needs a request or a limit of cpu or memory", hint)


def _amount(value: object) -> Decimal | None:
    try:
        return None if value is None else quantity.parse(str(value))
    except InputError:
        return None
