"""The functions that Kubernetes adds to CEL and the library does not have.

Source: kubernetes.io/docs/reference/using-api/cel (quantity, URL, IP and list libraries). Not implemented, and so
reported as unknown: `find`, `findAll`, `format`, `semver`, `authorizer` and optionals.
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
"""Functions that the library always has."""
_STANDARD = frozenset(
    """charAt indexOf lastIndexOf lowerAscii upperAscii replace split substring trim join min max sum bool
    sets.contains sets.equivalent sets.intersects math.greatest math.least math.abs math.sign math.ceil math.floor
    math.round math.trunc math.isNaN math.isInf math.isFinite base64.encode base64.decode""".split()
)
"""Functions of the library that must be enabled."""


def make_table(library: ModuleType) -> dict[str, Function]:
    """All additional functions by name, for a context of the library."""
    standard: Mapping[str, Function] = library.stdlib.STDLIB_FUNCTIONS
    return {name: function for name, function in standard.items() if name in _STANDARD} | _FUNCTIONS


def _size(value: object) -> int:
    if isinstance(value, str | bytes | Sequence | Mapping):
        return len(value)
    raise TypeError("the value is not a string, list or map")


_AMOUNT = "m2g.dev/quantity"
"""The key of a quantity. A quantity is a map with this key, because the library supports only CEL's own types."""


def _quantity(text: object) -> dict[str, str]:
    return _make_quantity(_parse(text))


def _make_quantity(amount: Decimal) -> dict[str, str]:
    return {_AMOUNT: str(amount.normalize())}  # a canonical form, so that == compares amounts


def _parse(text: object) -> Decimal:
    try:
        return quantity.parse(str(text))
    except InputError as error:
        raise ValueError(error.message) from error


def _amount(value: object) -> Decimal:
    if isinstance(value, dict) and set(value) == {_AMOUNT}:
        return Decimal(str(value[_AMOUNT]))
    raise TypeError("the value is not a quantity; wrap it in quantity(…)")


def _operand(value: object) -> Decimal:
    return Decimal(value) if isinstance(value, int) else _amount(value)


def _accepts(parse: Callable[[object], object]) -> Function:
    def is_valid(value: object) -> bool:
        try:
            parse(value)
        except (ValueError, TypeError):
            return False
        return True

    return is_valid


def _compare(left: object, right: object) -> int:
    a, b = _amount(left), _amount(right)
    return (a > b) - (a < b)


def _integer(value: object) -> int:
    amount = _amount(value)
    if amount != amount.to_integral_value():
        raise ValueError("the quantity is not a whole number")
    return int(amount)


def _is_sorted(items: Sequence[str]) -> bool:
    return all(left <= right for left, right in pairwise(items))


def _url(text: object) -> SplitResult:
    """An absolute URL or an absolute path, as Go's url.ParseRequestURI accepts it."""
    if not isinstance(text, str):
        raise TypeError("the value is not a string")
    url = urlsplit(text)
    if not (url.scheme and (url.netloc or url.path)) and not text.startswith("/"):
        raise ValueError("the value is not an absolute URL or path")
    if any(character.isspace() for character in text):
        raise ValueError("the URL contains a space")
    return url


def _ip(text: object) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(str(text))


def _cidr(text: object) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    if "/" not in str(text):
        raise ValueError("the value has no prefix length")
    return ipaddress.ip_network(str(text), strict=False)


_FUNCTIONS: dict[str, Function] = {
    SIZE: _size,
    "quantity": _quantity,
    "isQuantity": _accepts(_parse),
    "isLessThan": lambda left, right: _compare(left, right) < 0,
    "isGreaterThan": lambda left, right: _compare(left, right) > 0,
    "compareTo": _compare,
    "add": lambda left, right: _make_quantity(_amount(left) + _operand(right)),
    "sub": lambda left, right: _make_quantity(_amount(left) - _operand(right)),
    "sign": lambda value: (_amount(value) > 0) - (_amount(value) < 0),
    "isInteger": lambda value: _amount(value) == _amount(value).to_integral_value(),
    "asInteger": _integer,
    "asApproximateFloat": lambda value: float(_amount(value)),
    "isSorted": _is_sorted,
    "isURL": _accepts(_url),
    "isIP": _accepts(_ip),
    "isCIDR": _accepts(_cidr),
}
