"""REST requests to a server, limited in time and size. Redirects are not followed."""

from __future__ import annotations

import json
import os
import shlex
import ssl
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from m2g.core.errors import InputError, OutsideError
from m2g.core.model import Value
from m2g.core.redact import redact
from m2g.core.sanitize import make_visible
from m2g.registry.deadline import Clock, explain_encoding, limit_transport
from m2g.smoke.compare import Json

_MAX_BYTES = 32 << 20
_PROBE = 5.0
"""How many seconds one answer to a readiness probe may take."""
_HINTS = {
    "CERT": "check the address, or name the CA that signed the certificate: --ca FILE",
    "WRONG_VERSION_NUMBER": "the server does not use TLS there; try http:// instead of https://",
}
"""Part of an error's text → hint."""


class Endpoint(Value, frozen=True, kw_only=True):
    """How to reach a server. `token_env` names the environment variable with a token; `host` is the Host header."""

    url: str
    host: str = ""
    token_env: str = ""
    ca: Path | None = None
    insecure: bool = False
    seconds: float = 30.0


class Client:
    """A connection to one server. The caller must close it."""

    def __init__(self, endpoint: Endpoint) -> None:
        parts = urlsplit(endpoint.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            shown = redact(endpoint.url)[:200]
            hint = "write http(s)://HOST[:PORT][/PATH]; pass a token by an environment variable: --token-env NAME"
            raise InputError(f"{shown!r} is not the URL of an endpoint", hint=hint)
        self._endpoint = endpoint
        self._base = endpoint.url.rstrip("/")
        local = parts.hostname in ("127.0.0.1", "localhost", "::1")
        self._client = httpx.Client(
            headers=_headers(endpoint),
            verify=_tls(endpoint),
            timeout=httpx.Timeout(endpoint.seconds),
            follow_redirects=False,
            trust_env=not local,
        )
        self._clock = Clock()
        for transport in (self._client._transport, *self._client._mounts.values()):  # no public way
            if isinstance(transport, httpx.HTTPTransport):
                limit_transport(transport, self._clock)

    def close(self) -> None:
        self._client.close()

    def ready(self, url: str) -> bool:
        """Whether the URL answers 200."""
        self._clock.end = time.monotonic() + _PROBE
        try:
            with self._client.stream("GET", url, timeout=_PROBE) as answer:  # whatever the body is
                return answer.status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def get(self, path: str) -> Json:
        """The JSON that the server answers."""
        return self._send("GET", path, "")[0]

    def post(self, path: str, body: str) -> tuple[Json, float]:
        """The JSON that the server answers, and the seconds until it was complete."""
        return self._send("POST", path, body)

    def status(self, path: str) -> int:
        """The HTTP status of a GET."""
        self._clock.end = time.monotonic() + self._endpoint.seconds
        try:
            with self._client.stream("GET", self._base + path) as answer:
                return answer.status_code
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    def _send(self, method: str, path: str, body: str) -> tuple[Json, float]:
        """Raises OutsideError with the server's message unless it answers JSON with status 200."""
        began = time.perf_counter()
        self._clock.end = time.monotonic() + self._endpoint.seconds
        content = bytearray()
        try:
            kind = {"Content-Type": "application/json"}
            with self._client.stream(method, self._base + path, content=body.encode(), headers=kind) as answer:
                if problem := explain_encoding(answer.headers.get("content-encoding", "")):
                    raise OutsideError(
                        f"m2g does not read the answer of {self._shown(path)}: {problem}",
                        hint="check that this is the model's address",
                    )
                for part in answer.iter_bytes():
                    content += part
                    if len(content) > _MAX_BYTES:
                        raise OutsideError(
                            f"{self._shown(path)} answers more than {_MAX_BYTES >> 20} MiB",
                            hint="check that this is the model's address",
                        )
                    if time.perf_counter() - began > self._endpoint.seconds:
                        raise OutsideError(
                            f"{self._shown(path)} did not complete its answer within {self._endpoint.seconds:g} s",
                            hint="wait longer: --timeout SECONDS",
                        )
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        seconds = time.perf_counter() - began
        if answer.is_redirect:
            to = make_visible(redact(answer.headers.get("location", "")), 200)
            hint = "if this is a login page, name the model's own address and a token: --token-env NAME"
            raise OutsideError(f"{self._shown(path)} redirects to {to}", hint=hint)
        if answer.status_code != httpx.codes.OK:
            text = make_visible(bytes(content[:2000]).decode(errors="replace"), 500)
            raise OutsideError(f"{self._shown(path)} answers {answer.status_code}: {text}", hint=_hint(answer))
        try:
            return json.loads(bytes(content)), seconds
        except (ValueError, RecursionError) as error:
            content_type = make_visible(answer.headers.get("content-type", "no content type"), 80)
            hint = "check the address; behind KServe's gateway, also name the model's host: --host NAME"
            raise OutsideError(f"{self._shown(path)} does not answer JSON ({content_type})", hint=hint) from error

    def _shown(self, path: str) -> str:
        return redact(self._base + path)

    def _unreachable(self, error: httpx.HTTPError) -> OutsideError:
        if isinstance(error, httpx.TimeoutException):
            hint = "check that the model is loaded, or wait longer: --timeout SECONDS"
            return OutsideError(f"{self._shown('')} did not answer within {self._endpoint.seconds:g} s", hint=hint)
        message = make_visible(str(error) or type(error).__name__, 300)
        hint = next(
            (hint for part, hint in _HINTS.items() if part in message.upper()),
            f"check the address and the network: curl -i {shlex.quote(self._shown(''))}",
        )
        return OutsideError(f"{self._shown('')} cannot be reached: {message}", hint=hint)


def _hint(answer: httpx.Response) -> str:
    if answer.status_code in (401, 403):
        return "name the environment variable that holds a token: --token-env NAME"
    if answer.status_code == httpx.codes.NOT_FOUND:
        return "check --profile, which decides the path; behind KServe's gateway, name the model's host: --host NAME"
    return "read the server's log (if m2g starts the server: --keep-logs DIR)"


def _headers(endpoint: Endpoint) -> dict[str, str]:
    headers = {"Accept-Encoding": "gzip"} | ({"Host": endpoint.host} if endpoint.host else {})
    if endpoint.token_env:
        token = os.environ.get(endpoint.token_env, "")
        if not token or not token.isprintable() or not token.isascii():
            raise InputError(
                f"the environment variable {endpoint.token_env} has no token",
                hint=f"set it, then try again: export {endpoint.token_env}=…",
            )
        headers["Authorization"] = f"Bearer {token}"
    return headers


def _tls(endpoint: Endpoint) -> ssl.SSLContext | bool:
    if endpoint.insecure and endpoint.ca is not None:
        raise InputError("--insecure and --ca exclude each other", hint="remove one of them")
    if endpoint.insecure:
        return False
    if endpoint.ca is None:
        return True
    try:
        return ssl.create_default_context(cafile=str(endpoint.ca))
    except OSError as error:
        hint = "give --ca a file with CA certificates in PEM format"
        raise InputError(f"{endpoint.ca} does not have certificates in PEM format: {error}", hint=hint) from error
