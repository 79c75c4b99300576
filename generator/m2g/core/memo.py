"""What a pure function gave for a text, remembered during a run."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")
_SHORT = 100
"""Characters. A thousand texts as long as a registry allows would fill the memory."""


def short(function: Callable[[str], _T]) -> Callable[[str], _T]:
    """The function, quick where it is asked about the same short text again."""
    remembered = functools.lru_cache(maxsize=1 << 10)(function)

    @functools.wraps(function)
    def asked(text: str) -> _T:
        return remembered(text) if len(text) < _SHORT else function(text)

    return asked
