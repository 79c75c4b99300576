"""What an MLflow server's refusal means, and what a person can do about it."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from m2g.core.errors import InputError, M2gError, OutsideError
from m2g.registry.auth import CREDENTIALS_HINT, find_auth_plugin

NOT_FOUND = "RESOURCE_DOES_NOT_EXIST"
_LONGEST = 300


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """A server's answer. `url` is without query; `kind` is the content type, `location` where it redirects to."""

    url: str
    status: int
    kind: str
    location: str
    content: bytes

    @property
    def is_html(self) -> bool:
        """Whether the answer is a page for a browser."""
        return "html" in self.kind or self.content[:200].lstrip()[:9].lower().startswith((b"<!doctype", b"<html"))


class RequestFailed(OutsideError):
    """This one question has no good answer; the server as such does answer."""


class ErrorResponse(RequestFailed):
    """The server answered, and the answer is no: HTTP `status`, and MLflow's error code where it named one."""

    def __init__(self, message: str, *, status: int, code: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code

    @property
    def is_missing(self) -> bool:
        """Whether MLflow itself says that there is no such thing; a proxy's 404 does not count."""
        return self.code == NOT_FOUND


class _Error(msgspec.Struct):
    error_code: str
    message: str = ""


def to_one_line(text: str) -> str:
    """Foreign text for a message: one line, printable, bounded."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * _LONGEST]).split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def explain_error_response(reply: Response) -> M2gError:
    """The error for an answer that is not HTTP 200.

    InputError for what credentials, workspace or address can mend; `Refused` for the rest.
    """
    if 300 <= reply.status < 400:
        return _redirected(reply)
    if reply.status == 401:
        hint = f"{name} is set, but m2g cannot use it; {CREDENTIALS_HINT}" if (name := find_auth_plugin()) else ""
        return InputError(f"{reply.url}: the server wants other credentials (HTTP 401)", hint=hint or CREDENTIALS_HINT)
    if reply.status == 403 and reply.content.startswith(b"Invalid Host header"):
        host = urlsplit(reply.url).netloc
        return OutsideError(
            f"{reply.url}: the MLflow server does not accept requests for the host {host} (its guard against DNS "
            "rebinding, since 3.5)",
            hint=f"start it with --allowed-hosts '{host}' (or MLFLOW_SERVER_ALLOWED_HOSTS), or use a name it accepts",
        )
    try:
        error = msgspec.json.decode(reply.content, type=_Error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _unexplained(reply)
    if error.error_code == "FEATURE_DISABLED" and "orkspace" in error.message:
        return InputError(
            f"{reply.url}: the server has no workspaces: {to_one_line(error.message)}",
            hint="remove registry.workspace and MLFLOW_WORKSPACE, or start the server with --enable-workspaces",
        )
    if error.error_code == NOT_FOUND and error.message.startswith("Workspace "):
        return InputError(
            f"{reply.url}: {to_one_line(error.message)}",
            hint="see registry.workspace in m2g.yaml, and MLFLOW_WORKSPACE",
        )
    hint = "ask the server's owner for READ permission" if reply.status == 403 else ""
    return ErrorResponse(
        f"{reply.url}: HTTP {reply.status} {to_one_line(error.error_code)}: {to_one_line(error.message)}",
        status=reply.status,
        code=error.error_code,
        hint=hint,
    )


def _redirected(reply: Response) -> M2gError:
    here, there = urlsplit(reply.url), urlsplit(reply.location)
    to = to_one_line(f"{there.scheme}://{there.netloc.rpartition('@')[2]}{there.path}" if there.netloc else there.path)
    message = f"{reply.url}: the server redirects to {to or 'nowhere'} (HTTP {reply.status})"
    if there.scheme == "https" and here.scheme == "http" and there.hostname == here.hostname:
        return InputError(message, hint="write https:// in the registry's URI")
    return InputError(message, hint=f"if that is a login page: {CREDENTIALS_HINT}; else write the server's own address")


def _unexplained(reply: Response) -> ErrorResponse:
    page = "an HTML page" if reply.is_html else to_one_line(reply.content.decode(errors="replace")) or "nothing"
    hints = {
        403: "a proxy or the server forbids it: see the credentials and the network",
        404: "is this the address of an MLflow server, with its path prefix if it has one?",
    }
    return ErrorResponse(
        f"{reply.url}: HTTP {reply.status} with {page}", status=reply.status, hint=hints.get(reply.status, "")
    )


def explain_invalid_response(reply: Response, why: str) -> RequestFailed:
    """The error for HTTP 200 with a body that is not what MLflow answers."""
    if reply.is_html:
        return RequestFailed(
            f"{reply.url}: the server answers with an HTML page where MLflow answers with JSON",
            hint=f"is this the address of an MLflow server? If it is a login page: {CREDENTIALS_HINT}",
        )
    return RequestFailed(
        f"{reply.url}: the answer is not what MLflow answers: {to_one_line(why)}",
        hint="is this the address of an MLflow server (2.22 or newer), and no proxy that cuts its answers?",
    )
