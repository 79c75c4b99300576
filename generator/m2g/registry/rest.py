"""Calls to one MLflow server: retries within a time limit, bounded answers, errors that a person can act on."""

from __future__ import annotations

import ssl
import threading
import time
import urllib.request
from collections.abc import Mapping
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from m2g.core.errors import InputError, OutsideError
from m2g.registry.address import Address
from m2g.registry.api_types import Page
from m2g.registry.auth import make_authorization, make_ssl_context
from m2g.registry.errors import RequestFailed, Response, explain_error_response, explain_invalid_response, to_one_line
from m2g.registry.http import httpx

API = "/api/2.0/mlflow/"
THREADS = 8
"""Requests at once. A default MLflow server has four workers; more than eight brought nothing (measured)."""
MAX_RESPONSE = 256 << 20
"""Bytes of one JSON answer. A page of a thousand models whose tags are as long as MLflow allows fits."""
_ATTEMPT = 30.0
_CONNECT = 10.0
_FIRST_CONTACT = 15.0
"""Seconds to wait for a server that has not answered once: the address is probably wrong."""
_AFTER_FAILURE = 5.0
"""Seconds for a call after one got no answer while the server answered others: a fleet must not wait for each."""
_PASSING = frozenset({429, 502, 503, 504})
_HINT = "is the registry's URI right, and does the server run? Try again later"
_TLS_HINT = "set MLFLOW_TRACKING_SERVER_CERT_PATH to your own authority's certificate; without TLS write http://"
_T = TypeVar("_T")


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One question. `body` makes it a POST; `limit` bounds the answer in bytes."""

    path: str
    query: Mapping[str, str | int] = {}
    body: bytes | None = None
    limit: int = MAX_RESPONSE


class RestClient:
    """A server. Calls are made inside its `with` block (again and again), from several threads if need be.

    Plain HTTP makes a connection per request: MLflow's default server answers 40 ms later on a kept one.
    """

    def __init__(self, place: Address, *, workspace: str, patience: float) -> None:
        headers = {"Accept": "application/json", "User-Agent": "m2g"}
        if allowed := make_authorization(place):
            headers["Authorization"] = allowed
        if workspace:
            headers["X-MLFLOW-WORKSPACE"] = workspace
        try:
            httpx.URL(place.identity)
        except httpx.InvalidURL as error:
            raise InputError(f"{place.identity}: not a valid URL: {error}", hint="see registry.uri") from error
        self._base = place.identity
        self._headers = headers
        # Reading the authorities takes 50 ms; a plain connection without a proxy never asks for them.
        plain = place.identity.startswith("http:") and not urllib.request.getproxies()
        self._tls = False if plain else make_ssl_context(place) or httpx.create_ssl_context()
        self._patience = patience
        self._stop = threading.Event()
        self._answered = 0.0
        self._patience_now = patience
        self._client: httpx.Client

    def __enter__(self) -> Self:
        kept = THREADS if self._base.startswith("https:") else 0
        limits = httpx.Limits(max_connections=THREADS, max_keepalive_connections=kept)
        try:
            self._client = httpx.Client(headers=self._headers, verify=self._tls, limits=limits)
        except (ValueError, ImportError, httpx.InvalidURL) as error:
            raise InputError(
                f"{self._base}: the proxy settings cannot be used: {to_one_line(str(error))}",
                hint="see HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY",
            ) from error
        self._stop.clear()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._client.close()

    def stop(self) -> None:
        """Let every call that waits for another attempt end now."""
        self._stop.set()

    def get_json(self, call: Request, kind: type[_T]) -> _T:
        """The decoded answer.

        Raises `Refused` or `OneFailed` where this question has no good answer, InputError for what a person can mend,
        OutsideError where the server is down.
        """
        reply = self._reply(call)
        try:
            answer = msgspec.json.decode(reply.content, type=kind)
            strange = isinstance(answer, Page) and _is_foreign(reply.content, answer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise explain_invalid_response(reply, str(error)) from error
        if strange:
            raise explain_invalid_response(reply, "an object with none of the keys that MLflow answers")
        return answer

    def get_file(self, call: Request) -> bytes:
        """The bytes of an artifact; errors as for `json`."""
        return self._reply(call).content

    def _reply(self, call: Request) -> Response:
        started, patience = time.monotonic(), self._patience_now
        attempt = 0
        while True:
            attempt += 1
            limit = patience
            try:
                reply = self._attempt(call, started + patience)
            except httpx.TransportError as error:
                failure = _failure(error)
                limit = 0.0 if _is_lasting(error) else limit if self._answered else min(limit, _FIRST_CONTACT)
            except httpx.HTTPError as error:
                failure, limit = to_one_line(str(error)), 0.0
            else:
                if reply.status not in _PASSING:
                    self._answered = time.monotonic()
                    if reply.status == 200:
                        return reply
                    if reply.status != 500 or attempt > 1:
                        raise explain_error_response(reply)
                failure = f"HTTP {reply.status}"
            pause = min(0.25 * 2 ** (attempt - 1), 8.0)
            if time.monotonic() - started + pause > limit or self._stop.wait(pause):
                raise self._silence(call, failure, started)

    def _attempt(self, call: Request, deadline: float) -> Response:
        left = max(deadline - time.monotonic(), 0.1)
        url = f"{self._base}{call.path}"
        with self._client.stream(
            "GET" if call.body is None else "POST",
            url,
            params=dict(call.query),
            content=call.body,
            headers={} if call.body is None else {"Content-Type": "application/json"},
            timeout=httpx.Timeout(min(_ATTEMPT, left), connect=min(_CONNECT, left)),
        ) as response:
            content = bytearray()
            for chunk in response.iter_bytes():
                content += chunk
                if len(content) > call.limit:
                    raise RequestFailed(f"{url}: the answer is larger than {call.limit >> 10} KiB")
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout("the answer comes too slowly")
        return Response(
            url=url,
            status=response.status_code,
            kind=response.headers.get("content-type", "").lower(),
            location=response.headers.get("location", ""),
            content=bytes(content),
        )

    def _silence(self, call: Request, failure: str, started: float) -> OutsideError:
        """The error of a call without an answer: the server's, unless it does answer another question."""
        message = f"{self._base}{call.path}: {failure} (gave up after {time.monotonic() - started:.0f} s)"
        if self._answered > started or (self._answered and self._is_alive()):
            self._patience_now = min(self._patience, _AFTER_FAILURE)
            return RequestFailed(message)
        return OutsideError(message, hint=_TLS_HINT if "SSL" in failure else _HINT)

    def _is_alive(self) -> bool:
        call = Request(path=f"{API}registered-models/search", query={"max_results": 1})
        try:
            return not self._stop.is_set() and self._attempt(call, time.monotonic() + _AFTER_FAILURE).status == 200
        except (httpx.HTTPError, RequestFailed):
            return False


def _is_foreign(content: bytes, page: Page) -> bool:
    """Whether an empty page is none of MLflow's: `{"status": "ok"}` must not pass for a registry without models."""
    if any(getattr(page, field) for field in page.__struct_fields__):
        return False
    keys = msgspec.json.decode(content, type=dict[str, msgspec.Raw]).keys()
    return bool(keys) and keys.isdisjoint(page.__struct_fields__)


def _failure(error: httpx.TransportError) -> str:
    match error:
        case httpx.ConnectTimeout():
            return "no connection: nobody answers there"
        case httpx.TimeoutException():
            return "the server does not answer in time"
        case httpx.RemoteProtocolError() | httpx.ReadError():
            return f"the server broke off its answer: {to_one_line(str(error))}"
        case httpx.ProxyError():
            return f"the proxy refuses: {error}"
        case _:
            return f"no connection: {error}"


def _is_lasting(error: BaseException) -> bool:
    """Whether another attempt cannot help: TLS disagreement, or a request that cannot be sent at all."""
    if isinstance(error, httpx.UnsupportedProtocol | httpx.LocalProtocolError):
        return True
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
