"""Import httpx without its command line, which would import rich and double the time."""

import sys

_NAME = "httpx._main"
_MISSING = object()
_before = sys.modules.get(_NAME, _MISSING)
if _before is _MISSING:
    sys.modules[_NAME] = None  # type: ignore[assignment] # None makes Python treat the module as not installed
import httpx as httpx  # noqa: E402, PLC0414  # must follow the lines above; re-exported

if _before is _MISSING:
    del sys.modules[_NAME]
