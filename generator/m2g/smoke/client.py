"""Questions to a server by REST: bounded in time and size, following nobody elsewhere."""

from __future__ import annotations

import json
import os
import ssl
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from m2g.core.errors import InputError, OutsideError
from m2g.core.model import Value
from m2g.core.sanitize import hide_passwords, make_visible
from m2g.smoke.compare import Json

_MOST = 32 << 20
_PROBE = 5.0
"""Seconds that one answer to a readiness probe may take."""
_WAYS = {
    "CERT": "check the address, and the certificate's authority: --ca FILE",
    "WRONG_VERSION_NUMBER": "nobody speaks TLS there: is the address one of http:// instead?",
}
"""A word of the failure to the way out."""


class Door(Value, frozen=True, kw_only=True):
    """How a server is reached. `token` names the environment variable that holds one; `host` is a Host header."""

    url: str
    host: str = ""
    token: str = ""
    ca: Path | None = None
    insecure: bool = False
    seconds: float = 30.0


class Client:
    """One connection to a server; close it."""

    def __init__(self, door: Door) -> None:
        parts = urlsplit(door.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            shown = hide_passwords(door.url)[:200]
            hint = "http(s)://host[:port][/path]; a token belongs into an environment variable: --token-env NAME"
            raise InputError(f"{shown!r} is no address of an endpoint", hint=hint)
        self._door = door
        self._base = door.url.rstrip("/")
        local = parts.hostname in ("127.0.0.1", "localhost", "::1")
        self._client = httpx.Client(
            headers=_headers(door),
            verify=_verified(door),
            timeout=httpx.Timeout(door.seconds),
            follow_redirects=False,
            trust_env=not local,
        )

    def close(self) -> None:
        self._client.close()

    def ready(self, url: str) -> bool:
        """Whether a whole address answers 200; everything else is not yet."""
        try:
            return self._client.get(url, timeout=_PROBE).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def get(self, path: str) -> Json:
        """The JSON that a path answers."""
        return self._said("GET", path, "")[0]

    def post(self, path: str, body: str) -> tuple[Json, float]:
        """The JSON that the server answers, and the seconds until it was whole."""
        return self._said("POST", path, body)

    def status(self, path: str) -> int:
        """The status of a GET."""
        try:
            with self._client.stream("GET", self._base + path) as answer:
                return answer.status_code
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    def _said(self, method: str, path: str, body: str) -> tuple[Json, float]:
        """Raises OutsideError for all that is no JSON with status 200, with the server's own words."""
        began = time.perf_counter()
        content = bytearray()
        try:
            kind = {"Content-Type": "application/json"}
            with self._client.stream(method, self._base + path, content=body.encode(), headers=kind) as answer:
                for part in answer.iter_bytes():
                    content += part
                    if len(content) > _MOST:
                        raise OutsideError(f"{self._named(path)} answers more than {_MOST >> 20} MiB")
                    if time.perf_counter() - began > self._door.seconds:
                        raise OutsideError(f"{self._named(path)} did not end its answer in {self._door.seconds:g} s")
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        took = time.perf_counter() - began
        if answer.is_redirect:
            to = make_visible(hide_passwords(answer.headers.get("location", "")), 200)
            hint = "is it the page of a login? Name the address that serves, and a token: --token-env NAME"
            raise OutsideError(f"{self._named(path)} redirects to {to}", hint=hint)
        if answer.status_code != httpx.codes.OK:
            said = make_visible(bytes(content[:2000]).decode(errors="replace"), 500)
            raise OutsideError(f"{self._named(path)} answers {answer.status_code}: {said}", hint=_hint(answer))
        try:
            return json.loads(bytes(content)), took
        except (ValueError, RecursionError) as error:
            kind_ = make_visible(answer.headers.get("content-type", "no content type"), 80)
            hint = "is this the address of the model, or of a proxy before it? KServe wants its host name: --host NAME"
            raise OutsideError(f"{self._named(path)} answers no JSON ({kind_})", hint=hint) from error

    def _named(self, path: str) -> str:
        return hide_passwords(self._base + path)

    def _unreachable(self, error: httpx.HTTPError) -> OutsideError:
        if isinstance(error, httpx.TimeoutException):
            hint = "is the model loaded? --timeout SECONDS waits longer"
            return OutsideError(f"{self._named('')} did not answer within {self._door.seconds:g} s", hint=hint)
        words = make_visible(str(error) or type(error).__name__, 300)
        hint = next((way for word, way in _WAYS.items() if word in words.upper()), "is it there, and reachable?")
        return OutsideError(f"{self._named('')} cannot be reached: {words}", hint=hint)


def _hint(answer: httpx.Response) -> str:
    if answer.status_code in (401, 403):
        return "name the environment variable that holds a token: --token-env NAME"
    if answer.status_code == httpx.codes.NOT_FOUND:
        return "KServe's gateway knows a model by its host name: --host NAME; and is this version's protocol right?"
    return "the server's log says more (here: --keep-logs DIR)"


def _headers(door: Door) -> dict[str, str]:
    headers = {"Host": door.host} if door.host else {}
    if door.token:
        token = os.environ.get(door.token, "")
        if not token or not token.isprintable() or not token.isascii():
            raise InputError(f"the environment variable {door.token} holds no token", hint="export it, then try again")
        headers["Authorization"] = f"Bearer {token}"
    return headers


def _verified(door: Door) -> ssl.SSLContext | bool:
    if door.insecure and door.ca is not None:
        raise InputError("--insecure takes any certificate, --ca only those of its authorities", hint="name one")
    if door.insecure:
        return False
    if door.ca is None:
        return True
    try:
        return ssl.create_default_context(cafile=str(door.ca))
    except OSError as error:
        raise InputError(f"{door.ca} is no file of certificates in PEM: {error}", hint="see --ca") from error
