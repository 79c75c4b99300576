"""Requests to one MLflow server: retries within a time limit, responses of limited size, errors with a hint."""

from __future__ import annotations

import threading
import time
import urllib.request
from collections.abc import Mapping
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import urlsplit

import msgspec

from m2g.core.errors import InputError, M2gError, OutsideError
from m2g.core.http import describe_failure, httpx, is_permanent
from m2g.core.sanitize import to_one_line
from m2g.registry.address import Address
from m2g.registry.api_types import Page
from m2g.registry.auth import make_authorization, make_ssl_context
from m2g.registry.deadline import Clock, explain_encoding, limit_transport
from m2g.registry.errors import (
    RequestFailed,
    Response,
    TooLarge,
    explain_distrust,
    explain_error_response,
    explain_invalid_response,
)

API = "/api/2.0/mlflow/"
THREADS = 8
"""Concurrent requests. A default MLflow server has four workers; more than eight are not faster (measured)."""
MAX_RESPONSE = 256 << 20
"""Maximum bytes of a JSON response. A page of a thousand models with the longest tags that MLflow allows fits."""
_ATTEMPT = 30.0
_CONNECT = 10.0
_FIRST_CONTACT = 15.0
"""Seconds to wait for a server that never responded, because its address is probably wrong."""
_AFTER_FAILURE = 5.0
"""Seconds for a request after another one failed while the server responded to others, so that a fleet does not wait
for each."""
_TOTAL = 3600.0
"""Seconds for all requests of a run."""
_TEMPORARY = frozenset({429, 502, 503, 504})
_DISABLED = b"disabled due to the mlflow server running"
"""In MLflow's answer (503) on a route that the server's options turn off, such as --no-serve-artifacts."""
_SHORT = 500
_HINT = "check the registry's URI and that the server is running, then try again"
_ENCODING = "a proxy may compress in between: let it send the responses as they are, or with gzip"
_TLS_HINT = (
    "set MLFLOW_TRACKING_SERVER_CERT_PATH to the certificate of your CA, or use http:// for a server without TLS"
)
_T = TypeVar("_T")


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request. With a `body` it is a POST. `limit` is the maximum size of the response in bytes."""

    path: str
    query: Mapping[str, str | int] = {}
    body: bytes | None = None
    limit: int = MAX_RESPONSE


class RestClient:
    """A client for one server. Send requests inside its `with` block, also from several threads. It can be reused.

    With plain HTTP, each request opens a connection: MLflow's default server responds 40 ms later on a kept one.
    """

    def __init__(self, address: Address, *, workspace: str, patience: float, distrust: str = "") -> None:
        headers = {"Accept": "application/json", "User-Agent": "m2g"}
        allowed = make_authorization(address)
        self._distrust = distrust if allowed else ""
        if allowed and not distrust:
            headers["Authorization"] = allowed
        if workspace:
            headers["X-MLFLOW-WORKSPACE"] = workspace
        try:
            httpx.URL(address.identity)
        except httpx.InvalidURL as error:
            raise InputError(f"{address.identity}: not a valid URL: {error}", hint="check registry.uri") from error
        self._base = address.identity
        self._headers = headers
        # Reading the CA certificates takes 50 ms; a plain connection without a proxy does not need them.
        plain = address.identity.startswith("http:") and not urllib.request.getproxies()
        self._tls = (
            False if plain else make_ssl_context(address, with_client=not distrust) or httpx.create_ssl_context()
        )
        self._patience = patience
        self._stop = threading.Event()
        self._answered = 0.0
        self._is_proven = False
        """Whether the server has answered a request about the registry: then address, workspace and credentials are
        right."""
        self._patience_now = patience
        self._clock = Clock()
        self._end = float("inf")
        self.received = 0
        """How many bytes the server has sent so far."""
        self._client: httpx.Client

    def __enter__(self) -> Self:
        kept = THREADS if self._base.startswith("https:") else 0
        limits = httpx.Limits(max_connections=THREADS, max_keepalive_connections=kept)
        try:
            headers = {"Accept-Encoding": "gzip", **self._headers}
            self._client = httpx.Client(headers=headers, verify=self._tls, limits=limits)
        except (ValueError, ImportError, httpx.InvalidURL) as error:
            raise InputError(
                f"{self._base}: the proxy settings are not valid: {to_one_line(str(error))}",
                hint="check HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY",
            ) from error
        for transport in (self._client._transport, *self._client._mounts.values()):  # no public way
            if isinstance(transport, httpx.HTTPTransport):
                limit_transport(transport, self._clock)
        self._end = min(self._end, time.monotonic() + _TOTAL)
        self._stop.clear()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._client.close()

    def stop(self) -> None:
        """Stop every request that waits for another attempt."""
        self._stop.set()

    @property
    def host(self) -> str:
        """Host and port of the server."""
        return urlsplit(self._base).netloc

    def get_json(self, request: Request, kind: type[_T]) -> _T:
        """The decoded response.

        Raises RequestFailed (or its ErrorResponse) if this request failed, InputError if the user can fix the cause,
        and OutsideError if the server is down.
        """
        response = self._send(request)
        try:
            value = msgspec.json.decode(response.content, type=kind)
            is_foreign = isinstance(value, Page) and _is_foreign(response.content, value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise explain_invalid_response(response, str(error)) from error
        if is_foreign:
            raise explain_invalid_response(response, "an object without any of MLflow's keys")
        return value

    def get_file(self, request: Request) -> bytes:
        """The content of an artifact. Raises the errors of `get_json`."""
        return self._send(request).content

    def _send(self, request: Request) -> Response:
        started, patience = time.monotonic(), self._patience_now
        if started > self._end:
            message = f"{self._base}: all requests together took longer than {_TOTAL / 60:.0f} minutes; m2g was at "
            raise OutsideError(f"{message}{request.path}", hint="find out why the server is so slow, then try again")
        attempt = 0
        while True:
            attempt += 1
            limit = patience
            try:
                response = self._attempt(request, started + patience)
            except httpx.TransportError as error:
                failure = describe_failure(error)
                limit = 0.0 if is_permanent(error) else limit if self._answered else min(limit, _FIRST_CONTACT)
            except httpx.HTTPError as error:
                failure, limit = to_one_line(str(error)), 0.0
            else:
                if response.status not in _TEMPORARY or _DISABLED in response.content[:_SHORT]:
                    self._answered = time.monotonic()
                    if response.status == 200:
                        self._is_proven = self._is_proven or request.path.startswith(API)
                        return response
                    if response.status != 500 or attempt > 1:
                        raise self._explain(response)
                failure = f"HTTP {response.status}"
            pause = min(0.25 * 2 ** (attempt - 1), 8.0)
            if time.monotonic() - started + pause > limit or self._stop.wait(pause):
                raise self._give_up(request, failure, started)

    def _explain(self, response: Response) -> M2gError:
        error = explain_error_response(response, only_this=self._is_proven)
        return explain_distrust(self._base, error, self._distrust) if self._distrust and not self._is_proven else error

    def _attempt(self, request: Request, deadline: float) -> Response:
        left = max(deadline - time.monotonic(), 0.1)
        self._clock.end = time.monotonic() + left
        url = f"{self._base}{request.path}"
        with self._client.stream(
            "GET" if request.body is None else "POST",
            url,
            params=dict(request.query),
            content=request.body,
            headers={} if request.body is None else {"Content-Type": "application/json"},
            timeout=httpx.Timeout(min(_ATTEMPT, left), connect=min(_CONNECT, left)),
        ) as response:
            if problem := explain_encoding(response.headers.get("content-encoding", "")):
                raise RequestFailed(f"{url}: m2g does not read the response: {problem}", hint=_ENCODING)
            content = bytearray()
            for chunk in response.iter_bytes():
                content += chunk
                self.received += len(chunk)
                if len(content) > request.limit:
                    raise TooLarge(
                        f"{url}: the response is larger than {request.limit >> 10} KiB", start=bytes(content)
                    )
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout("the response is too slow")
        return Response(
            url=url,
            status=response.status_code,
            kind=response.headers.get("content-type", "").lower(),
            location=response.headers.get("location", ""),
            content=bytes(content),
        )

    def _give_up(self, request: Request, failure: str, started: float) -> OutsideError:
        """The error for a request without a response: RequestFailed if the server responds to others."""
        message = f"{self._base}{request.path}: {failure} (gave up after {time.monotonic() - started:.0f} s)"
        if self._answered > started or (self._answered and self._is_alive()):
            self._patience_now = min(self._patience, _AFTER_FAILURE)
            return RequestFailed(message)
        return OutsideError(message, hint=_TLS_HINT if "SSL" in failure else _HINT)

    def _is_alive(self) -> bool:
        request = Request(path=f"{API}registered-models/search", query={"max_results": 1})
        try:
            return not self._stop.is_set() and self._attempt(request, time.monotonic() + _AFTER_FAILURE).status == 200
        except (httpx.HTTPError, RequestFailed):
            return False


def _is_foreign(content: bytes, page: Page) -> bool:
    """Whether an empty page is not from MLflow: `{"status": "ok"}` must not count as a registry without models."""
    if any(getattr(page, field) for field in page.__struct_fields__):
        return False
    keys = msgspec.json.decode(content, type=dict[str, msgspec.Raw]).keys()
    return bool(keys) and keys.isdisjoint(page.__struct_fields__)
