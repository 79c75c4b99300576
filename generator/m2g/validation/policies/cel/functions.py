"""The functions that Kubernetes adds to CEL and the library lacks.

Source: kubernetes.io/docs/reference/using-api/cel (quantity, URL, IP and list libraries). What is not here is said
to be unknown where a rule uses it: `find`, `findAll`, `format`, `semver`, `authorizer` and optionals.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from types import ModuleType
from typing import TypeAlias
from urllib.parse import SplitResult, urlsplit

from m2g.core import quantity
from m2g.core.errors import InputError

Function: TypeAlias = Callable[..., object]

SIZE = "m2g_size"
NATIVE = frozenset(
    """contains startsWith endsWith matches int uint double string bytes timestamp duration type dyn has all exists
    exists_one existsOne map filter of none ofNonZeroValue hasValue value or orValue getFullYear getMonth getDate
    getDayOfMonth getDayOfWeek getDayOfYear getHours getMinutes getSeconds getMilliseconds""".split()
)
"""What the library brings without being asked."""
_STANDARD = frozenset(
    """charAt indexOf lastIndexOf lowerAscii upperAscii replace split substring trim join min max sum bool
    sets.contains sets.equivalent sets.intersects math.greatest math.least math.abs math.sign math.ceil math.floor
    math.round math.trunc math.isNaN math.isInf math.isFinite base64.encode base64.decode""".split()
)
"""From the library's own list, which it leaves out unless it is asked."""


def table(library: ModuleType) -> dict[str, Function]:
    """Name to function, for a context."""
    theirs: Mapping[str, Function] = library.stdlib.STDLIB_FUNCTIONS
    return {name: function for name, function in theirs.items() if name in _STANDARD} | _OURS


def _size(value: object) -> int:
    if isinstance(value, str | bytes | Sequence | Mapping):
        return len(value)
    raise TypeError("size of what is no text, list or map")


_AMOUNT = "m2g.dev/quantity"
"""A quantity is a map of one text: the library knows no types beside CEL's own."""


def _quantity(text: object) -> dict[str, str]:
    return _made(_parsed(text))


def _made(amount: Decimal) -> dict[str, str]:
    return {_AMOUNT: str(amount.normalize())}  # one spelling, so that == compares amounts


def _parsed(text: object) -> Decimal:
    try:
        return quantity.parse(str(text))
    except InputError as error:
        raise ValueError(error.message) from error


def _amount(value: object) -> Decimal:
    if isinstance(value, dict) and set(value) == {_AMOUNT}:
        return Decimal(str(value[_AMOUNT]))
    raise TypeError("is no quantity; write quantity(…) around it")


def _other(value: object) -> Decimal:
    return Decimal(value) if isinstance(value, int) else _amount(value)


def _is(read: Callable[[object], object]) -> Function:
    def known(value: object) -> bool:
        try:
            read(value)
        except (ValueError, TypeError):
            return False
        return True

    return known


def _compare(left: object, right: object) -> int:
    a, b = _amount(left), _amount(right)
    return (a > b) - (a < b)


def _integer(value: object) -> int:
    amount = _amount(value)
    if amount != amount.to_integral_value():
        raise ValueError("is no whole number")
    return int(amount)


def _sorted(items: Sequence[str]) -> bool:
    return all(left <= right for left, right in pairwise(items))


def _url(text: object) -> SplitResult:
    """Absolute, or a path from the root, as Go's url.ParseRequestURI takes it."""
    if not isinstance(text, str):
        raise TypeError("a URL is written as text")
    found = urlsplit(text)
    if not (found.scheme and (found.netloc or found.path)) and not text.startswith("/"):
        raise ValueError("is no absolute URL and no path")
    if any(character.isspace() for character in text):
        raise ValueError("has a space")
    return found


def _ip(text: object) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(str(text))


def _cidr(text: object) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    if "/" not in str(text):
        raise ValueError("has no prefix length")
    return ipaddress.ip_network(str(text), strict=False)


_OURS: dict[str, Function] = {
    SIZE: _size,
    "quantity": _quantity,
    "isQuantity": _is(_parsed),
    "isLessThan": lambda left, right: _compare(left, right) < 0,
    "isGreaterThan": lambda left, right: _compare(left, right) > 0,
    "compareTo": _compare,
    "add": lambda left, right: _made(_amount(left) + _other(right)),
    "sub": lambda left, right: _made(_amount(left) - _other(right)),
    "sign": lambda value: (_amount(value) > 0) - (_amount(value) < 0),
    "isInteger": lambda value: _amount(value) == _amount(value).to_integral_value(),
    "asInteger": _integer,
    "asApproximateFloat": lambda value: float(_amount(value)),
    "isSorted": _sorted,
    "isURL": _is(_url),
    "isIP": _is(_ip),
    "isCIDR": _is(_cidr),
}
