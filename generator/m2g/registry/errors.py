"""Turn error responses of an MLflow server into errors with a hint."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from m2g.core.errors import InputError, M2gError, OutsideError
from m2g.core.sanitize import to_one_line
from m2g.registry.auth import CREDENTIALS_HINT, find_auth_plugin

NOT_FOUND = "RESOURCE_DOES_NOT_EXIST"
_ABOUT_SERVER = "ABOUT_SERVER"
"""In place of MLflow's code: the resource may exist, and so may the route to it."""


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """A response. `url` has no query; `kind` is the content type; `location` is the target of a redirect."""

    url: str
    status: int
    kind: str
    location: str
    content: bytes

    @property
    def is_html(self) -> bool:
        """Whether the response is an HTML page."""
        return "html" in self.kind or self.content[:200].lstrip()[:9].lower().startswith((b"<!doctype", b"<html"))


_MAX_START = 16


class RequestFailed(OutsideError):
    """One request failed, but the server as a whole works."""


class ErrorResponse(RequestFailed):
    """The server responded with an error: the HTTP `status`, and MLflow's error code if the body has one."""

    def __init__(self, message: str, *, status: int, code: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code

    @property
    def is_missing(self) -> bool:
        """Whether MLflow itself says that the resource does not exist. The 404 of a proxy does not count."""
        return self.code == NOT_FOUND

    @property
    def is_no_route(self) -> bool:
        """Whether something else than MLflow's handlers says that there is nothing at this address."""
        return self.status == 404 and not self.code


class NoRoute(RequestFailed):
    """The server has no route to the files of models, which concerns all versions and not one of them."""


class TooLarge(RequestFailed):
    """A file exists and is larger than m2g reads. `start` are its first bytes."""

    def __init__(self, message: str, *, start: bytes) -> None:
        super().__init__(message)
        self.start = start[:_MAX_START]


class _Error(msgspec.Struct):
    error_code: str
    message: str = ""


def _decode_error(response: Response) -> _Error | None:
    """The error in MLflow's own form; None if something else than MLflow's handlers responded."""
    try:
        return msgspec.json.decode(response.content, type=_Error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def explain_error_response(response: Response, *, only_this: bool) -> M2gError:
    """The error for a response that is not HTTP 200.

    It is an InputError if other credentials, another workspace or another address can fix it, else an `ErrorResponse`.
    With `only_this`, the server has answered other requests, so it is always an ErrorResponse: what one model's author
    can make a server say must not end the run.
    """
    error = _explain(response)
    if only_this and not isinstance(error, ErrorResponse):
        code = _ABOUT_SERVER if _decode_error(response) else ""
        return ErrorResponse(error.message, status=response.status, code=code, hint=error.hint)
    return error


def explain_distrust(server: str, error: M2gError, distrust: str) -> InputError:
    """The error of a server that refuses m2g and that got no credentials."""
    return InputError(
        f"{error.message}; m2g sent no credentials, because {distrust}",
        hint=f"merge the change of registry.uri first; or, if it may have them: export MLFLOW_TRACKING_URI={server}",
    )


def _explain(response: Response) -> M2gError:
    if 300 <= response.status < 400:
        return _explain_redirect(response)
    if response.status == 401:
        hint = f"{name} is set, but m2g does not support it; {CREDENTIALS_HINT}" if (name := find_auth_plugin()) else ""
        message = f"{response.url}: the server does not accept the credentials (HTTP 401)"
        return InputError(message, hint=hint or CREDENTIALS_HINT)
    if response.status == 403 and response.content.startswith(b"Invalid Host header"):
        host = urlsplit(response.url).netloc
        return OutsideError(
            f"{response.url}: the MLflow server does not accept requests for the host {host} (protection against DNS "
            "rebinding, since 3.5)",
            hint=f"start the server with --allowed-hosts '{host}', or use a host name that it accepts",
        )
    error = _decode_error(response)
    if error is None:
        return _explain_other(response)
    if error.error_code == "FEATURE_DISABLED" and "orkspace" in error.message:
        return InputError(
            f"{response.url}: the server has no workspaces: {to_one_line(error.message)}",
            hint="remove registry.workspace and MLFLOW_WORKSPACE, or start the server with --enable-workspaces",
        )
    if error.error_code == NOT_FOUND and error.message.startswith("Workspace "):
        return InputError(
            f"{response.url}: {to_one_line(error.message)}",
            hint="check registry.workspace in m2g.yaml, and MLFLOW_WORKSPACE",
        )
    hint = "ask the server's owner for READ permission" if response.status == 403 else ""
    return ErrorResponse(
        f"{response.url}: HTTP {response.status} {to_one_line(error.error_code)}: {to_one_line(error.message)}",
        status=response.status,
        code=error.error_code,
        hint=hint,
    )


def _explain_redirect(response: Response) -> M2gError:
    here, there = urlsplit(response.url), urlsplit(response.location)
    to = to_one_line(f"{there.scheme}://{there.netloc.rpartition('@')[2]}{there.path}" if there.netloc else there.path)
    message = f"{response.url}: the server redirects to {to or 'an empty address'} (HTTP {response.status})"
    if there.scheme == "https" and here.scheme == "http" and there.hostname == here.hostname:
        return InputError(message, hint="use https:// in the registry's URI")
    hint = f"if that is a login page, {CREDENTIALS_HINT}; else use the address of the server"
    return InputError(message, hint=hint)


def _explain_other(response: Response) -> ErrorResponse:
    page = "an HTML page" if response.is_html else to_one_line(response.content.decode(errors="replace")) or "nothing"
    hints = {
        403: "a proxy or the server denies access: check the credentials and the network",
        404: "check that this is the address of an MLflow server, with its path prefix if it has one",
    }
    return ErrorResponse(
        f"{response.url}: HTTP {response.status} with {page}",
        status=response.status,
        hint=hints.get(response.status, ""),
    )


def explain_invalid_response(response: Response, why: str) -> RequestFailed:
    """The error for HTTP 200 with a body that MLflow does not send."""
    if response.is_html:
        return RequestFailed(
            f"{response.url}: the server responded with an HTML page instead of JSON",
            hint=f"check that this is the address of an MLflow server; if it is a login page, {CREDENTIALS_HINT}",
        )
    return RequestFailed(
        f"{response.url}: the response is not valid: {to_one_line(why)}",
        hint="check that this is an MLflow server (2.22 or newer), and that no proxy truncates its responses",
    )
