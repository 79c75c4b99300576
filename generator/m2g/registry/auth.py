"""Credentials and TLS settings for an MLflow server, from MLflow's own environment variables and credentials file.

The rules are those of mlflow.utils.credentials and mlflow.utils.rest_utils (3.17).
"""

from __future__ import annotations

import base64
import os
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from m2g.core.errors import InputError
from m2g.registry.address import Address

_USER = "MLFLOW_TRACKING_USERNAME"
_PASSWORD = "MLFLOW_TRACKING_PASSWORD"  # noqa: S105  # a variable's name
_TOKEN = "MLFLOW_TRACKING_TOKEN"  # noqa: S105  # a variable's name
_INSECURE = "MLFLOW_TRACKING_INSECURE_TLS"
_SERVER_CERT = "MLFLOW_TRACKING_SERVER_CERT_PATH"
_CLIENT_CERT = "MLFLOW_TRACKING_CLIENT_CERT_PATH"
_PLUGINS = ("MLFLOW_TRACKING_AUTH", "MLFLOW_TRACKING_AWS_SIGV4")

CREDENTIALS_HINT = f"set {_USER} and {_PASSWORD}, or {_TOKEN}"


def resolve_workspace(given: str) -> str:
    """The workspace to use: the given one, else MLFLOW_WORKSPACE. Empty means the server's default workspace."""
    name = given or os.environ.get("MLFLOW_WORKSPACE", "").strip()
    if name == "default":  # MLflow's DEFAULT_WORKSPACE_NAME, which a server without workspaces has, too
        return ""
    if not (name.isascii() and (name.isprintable() or not name)):
        hint = "check registry.workspace and MLFLOW_WORKSPACE"
        raise InputError(f"{name!r} is not a valid workspace name", hint=hint)
    return name


def make_authorization(address: Address) -> str:
    """The Authorization header: the credentials of the URI, else user and password, else a token; empty if none is set.

    Raises InputError if only one of user and password is set, or if a header cannot contain the token. No message
    contains a secret.
    """
    stored = _stored()
    user, password = address.user, address.password
    if not (user or password):
        user = os.environ.get(_USER, "") or stored.get(_USER.lower(), "")
        password = os.environ.get(_PASSWORD, "") or stored.get(_PASSWORD.lower(), "")
    if user and password:
        return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    token = os.environ.get(_TOKEN, "").strip()
    if token:
        if not (token.isascii() and token.isprintable()):
            raise InputError(f"{_TOKEN} contains invalid characters", hint="copy the token again, on one line")
        return f"Bearer {token}"
    if user or password:
        missing = _PASSWORD if user else _USER
        raise InputError(f"{missing} is missing in the credentials for {address.identity}", hint=CREDENTIALS_HINT)
    return ""


def find_auth_plugin() -> str:
    """The variable that requests an authentication plugin, which only the mlflow package can run; empty if none is
    set."""
    return next((name for name in _PLUGINS if os.environ.get(name, "").lower() not in ("", "false", "0")), "")


def is_tracking_server(uri: str) -> bool:
    """Whether MLFLOW_TRACKING_URI names the server of this URI, so that the credentials are for it."""
    named, other = urlsplit(os.environ.get("MLFLOW_TRACKING_URI", "")), urlsplit(uri)
    return (named.scheme, named.hostname, named.port) == (other.scheme, other.hostname, other.port)


def make_ssl_context(address: Address, *, with_client: bool = True) -> ssl.SSLContext | None:
    """The user's TLS settings for the server; None for the defaults. The user's own certificate is a credential."""
    insecure = os.environ.get(_INSECURE, "").strip().lower() in ("true", "1")
    authorities = os.environ.get(_SERVER_CERT, "") or os.environ.get("REQUESTS_CA_BUNDLE", "")
    client = os.environ.get(_CLIENT_CERT, "") if with_client else ""
    if not address.identity.startswith("https:") or not (insecure or authorities or client):
        return None
    variable = _SERVER_CERT if os.environ.get(_SERVER_CERT) else "REQUESTS_CA_BUNDLE"
    context = _authorities(variable, authorities)
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if client:
        try:
            context.load_cert_chain(client)
        except OSError as error:
            raise InputError(f"{_CLIENT_CERT} ({client}) cannot be read: {error.strerror or error}") from error
    return context


def _authorities(variable: str, path: str) -> ssl.SSLContext:
    try:
        if path and Path(path).is_dir():
            return ssl.create_default_context(capath=path)
        return ssl.create_default_context(cafile=path or None)
    except OSError as error:
        raise InputError(f"{variable} ({path}) cannot be read: {error.strerror or error}") from error


def _stored() -> dict[str, str]:
    """The `[mlflow]` section of ~/.mlflow/credentials, with keys in lower case."""
    path = Path("~/.mlflow/credentials").expanduser()
    if not os.path.lexists(path):
        return {}
    import configparser

    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(path, encoding="utf-8")
    except (OSError, configparser.Error, UnicodeDecodeError) as error:
        hint = "fix its syntax; the file needs a section [mlflow]"
        raise InputError(f"{path} is not a valid INI file", hint=hint) from error
    return dict(parser["mlflow"]) if parser.has_section("mlflow") else {}
