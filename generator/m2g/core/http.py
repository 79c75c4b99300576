"""What the clients of servers share: httpx, and words for what went wrong.

httpx is imported without its command line, which would import rich and double the time.
"""

from __future__ import annotations

import ssl
import sys

from m2g.core.sanitize import to_one_line

_NAME = "httpx._main"
_MISSING = object()
_before = sys.modules.get(_NAME, _MISSING)
if _before is _MISSING:
    sys.modules[_NAME] = None  # type: ignore[assignment] # None makes Python treat the module as not installed
import httpx as httpx  # noqa: E402, PLC0414  # must follow the lines above; re-exported

if _before is _MISSING:
    del sys.modules[_NAME]


def describe_failure(error: httpx.TransportError) -> str:
    """Why there is no response, in a few words."""
    match error:
        case httpx.ConnectTimeout():
            return "cannot connect: the connection timed out"
        case httpx.TimeoutException():
            return "the server did not respond in time"
        case httpx.RemoteProtocolError() | httpx.ReadError():
            return f"the server closed the connection: {to_one_line(str(error))}"
        case httpx.ProxyError():
            return f"the proxy failed: {error}"
        case _:
            return f"cannot connect: {error}"


def is_permanent(error: BaseException) -> bool:
    """Whether another attempt cannot help: a TLS error, or a request that cannot be sent."""
    if isinstance(error, httpx.UnsupportedProtocol | httpx.LocalProtocolError):
        return True
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
