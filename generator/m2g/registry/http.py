"""The door to httpx, without its command line: where rich is installed, that takes longer than all the rest of it."""

import sys

_NAME = "httpx._main"
_MISSING = object()
_before = sys.modules.get(_NAME, _MISSING)
if _before is _MISSING:
    sys.modules[_NAME] = None  # type: ignore[assignment] # Python's own way to say that a module cannot be imported
import httpx as httpx  # noqa: E402, PLC0414  # after the lines above; re-exported

if _before is _MISSING:
    del sys.modules[_NAME]
