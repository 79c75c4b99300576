"""Requests to one forge: pages, rate limits, failures and retries, in one place."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

import msgspec

from m2g.core.errors import InputError, OutsideError
from m2g.core.http import describe_failure, httpx, is_permanent
from m2g.core.sanitize import to_one_line

_T = TypeVar("_T")
Query = Mapping[str, str | int]
_TEMPORARY = frozenset({500, 502, 503, 504})
_ATTEMPTS = 6
_TIMEOUT = 30.0
_LONGEST = 120.0
"""Seconds to wait because a forge says so. A rate limit that lasts longer ends the run."""
_PAGES = 20
"""Pages of one list; each has up to 100 entries."""
_MAX_BYTES = 64 << 20


class Unclear(OutsideError):
    """A request that changes something has no answer: it may have been carried out."""


class Refused(OutsideError):
    """The forge answered with an error."""

    def __init__(self, message: str, *, status: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One request. `repeat` tells that sending it twice changes nothing more than sending it once."""

    path: str
    method: str = "GET"
    query: Query = {}
    body: object = None
    repeat: bool = True


class ForgeClient:
    """A client for the API of one repository. The token goes to this host alone: no redirect is followed.

    `pace` are the seconds between two requests that create something. `explain` makes a hint from an error response.
    """

    def __init__(
        self,
        base: str,
        headers: Mapping[str, str],
        *,
        pace: float = 0.0,
        explain: Callable[[httpx.Response], str] = lambda response: "",
    ) -> None:
        self._base = base.rstrip("/")
        self._pace = pace
        self._explain = explain
        self._next = 0.0
        self._ahead = 0.0
        kept = None if self._base.startswith("https:") else 0
        try:
            self._client = httpx.Client(
                headers={"Accept": "application/json", "User-Agent": "m2g", **headers},
                timeout=_TIMEOUT,
                limits=httpx.Limits(max_keepalive_connections=kept),
            )
        except (ValueError, ImportError, httpx.InvalidURL) as error:
            raise InputError(
                f"{self._base}: the proxy settings are not valid: {to_one_line(str(error))}",
                hint="check HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY",
            ) from error

    def ask(self, request: Ask, kind: type[_T]) -> _T:
        """The decoded answer. Raises Refused, Unclear, InputError (token) or OutsideError (no answer)."""
        return self._decode(self._send(request), kind)

    def run(self, request: Ask) -> None:
        """Send a request whose answer is not needed. Raises the errors of `ask`."""
        self._send(request)

    def pages(self, request: Ask, kind: type[_T], size: int = 50) -> Iterator[_T]:
        """The entries of a list, page by page, at most 1,000 of 50."""
        for page in range(1, _PAGES + 1):
            query = {**request.query, "page": page}
            found = self.ask(msgspec.structs.replace(request, query=query), list[kind])  # type: ignore[valid-type]  # a type at run time
            yield from found
            if len(found) < size:
                return

    def find_age(self, created: str) -> float:
        """The seconds since a time of the forge (`2026-11-30T12:00:00Z`), by its own clock."""
        try:
            then = datetime.fromisoformat(created)
        except ValueError:
            return float("inf")
        return time.time() + self._ahead - (then if then.tzinfo else then.replace(tzinfo=UTC)).timestamp()

    def _decode(self, response: httpx.Response, kind: type[_T]) -> _T:
        try:
            return msgspec.json.decode(response.content, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise OutsideError(
                f"{response.url.copy_with(query=None)}: the answer is not valid: {to_one_line(str(error))}",
                hint="check that the remote's host is the forge that m2g took it for (proposals.forge in m2g.yaml)",
            ) from error

    def _send(self, request: Ask) -> httpx.Response:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                response = self._attempt(request)
            except httpx.HTTPError as error:
                text = describe_failure(error) if isinstance(error, httpx.TransportError) else str(error)
                if not request.repeat and not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
                    raise Unclear(f"{self._base}{request.path}: {to_one_line(text)}") from error
                if is_permanent(error) or attempt == _ATTEMPTS:
                    hint = "check the address of the remote, the network and the proxy, then try again"
                    raise OutsideError(f"{self._base}{request.path}: {to_one_line(text)}", hint=hint) from error
                time.sleep(min(0.25 * 2**attempt, 8.0))
                continue
            self._ahead = _find_lead(response)
            wait = _find_wait(response, attempt, self._ahead)
            if wait is None:
                return self._check(response)
            if response.status_code in _TEMPORARY and not request.repeat:
                raise Unclear(f"{self._base}{request.path}: HTTP {response.status_code}")
            if attempt == _ATTEMPTS or wait > _LONGEST:
                why = f"HTTP {response.status_code}" + (f", and asks to wait {wait:.0f} s" if wait > _LONGEST else "")
                raise OutsideError(f"{self._base}{request.path}: {why}", hint="run the command again later")
            time.sleep(wait)
        raise AssertionError

    def _attempt(self, request: Ask) -> httpx.Response:
        creates = request.method != "GET"
        if creates and self._pace:
            time.sleep(max(0.0, self._next - time.monotonic()))
            self._next = time.monotonic() + self._pace
        return self._client.request(
            request.method,
            f"{self._base}{request.path}",
            params=dict(request.query),
            content=None if request.body is None else msgspec.json.encode(request.body),
            headers={} if request.body is None else {"Content-Type": "application/json"},
        )

    def _check(self, response: httpx.Response) -> httpx.Response:
        if len(response.content) > _MAX_BYTES:
            raise OutsideError(f"{self._base}: the answer is larger than {_MAX_BYTES >> 20} MiB")
        if response.is_success:
            return response
        status, url = response.status_code, response.url.copy_with(query=None)
        text = to_one_line(_read_message(response))
        hint = self._explain(response)
        if status == 401:
            raise InputError(f"{url}: the forge does not accept the token: {text}", hint=hint or "set M2G_TOKEN anew")
        if response.is_redirect:
            where = to_one_line(response.headers.get("location", ""))
            raise InputError(
                f"{url}: the forge redirects to {where}",
                hint="set the remote to the repository's present address: git remote set-url origin ADDRESS",
            )
        raise Refused(f"{url}: HTTP {status}: {text}", status=status, hint=hint)


def _read_message(response: httpx.Response) -> str:
    """What a forge says of an error, wherever it puts it."""
    try:
        found = msgspec.json.decode(response.content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return response.text[:300] if "html" not in response.headers.get("content-type", "") else "an HTML page"
    if isinstance(found, dict):
        parts = [found.get(key) for key in ("message", "error", "error_description")]
        parts += [msgspec.json.encode(found["errors"]).decode()] if found.get("errors") else []
        return " ".join(str(part) for part in parts if part)
    return str(found)


def _find_lead(response: httpx.Response) -> float:
    """How many seconds the forge's clock is ahead of the one of this machine."""
    try:
        return parsedate_to_datetime(response.headers.get("date", "")).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _find_wait(response: httpx.Response, attempt: int, ahead: float = 0.0) -> float | None:
    """The seconds to wait before another attempt; None if this answer is final."""
    status = response.status_code
    said = response.headers.get("retry-after", "")
    spent = response.headers.get("x-ratelimit-remaining", response.headers.get("ratelimit-remaining", ""))
    limited = status == 429 or (
        status == 403 and (said or spent == "0" or "rate limit" in response.text[:2000].lower())
    )
    if not limited:
        return min(0.25 * 2**attempt, 8.0) if status in _TEMPORARY else None
    if said.isdecimal():
        return float(said)
    reset = response.headers.get("x-ratelimit-reset", response.headers.get("ratelimit-reset", ""))
    if spent == "0" and reset.isdecimal():
        return max(1.0, float(reset) - time.time() - ahead)
    return min(2.0**attempt, 60.0)
