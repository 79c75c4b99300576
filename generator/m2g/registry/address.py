"""Parse the URI of a registry, and keep its credentials out of messages and records."""

from __future__ import annotations

import re
from enum import Enum, auto
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

from m2g.core.errors import InputError

_DATABASES = frozenset({"sqlite", "postgresql", "mysql", "mssql"})
_DATABRICKS = frozenset({"databricks", "databricks-uc", "uc"})
_HINT = "use a URI such as https://host or sqlite:///mlflow.db, or a folder such as ./mlruns"


class StoreKind(Enum):
    """The kind of store at an address."""

    SERVER = auto()
    SQLITE = auto()
    DATABASE = auto()
    FOLDER = auto()


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """The address of a registry. `identity` is safe to show and record; `uri` may contain credentials.

    For a server, `identity` is also the base URL, and `user` and `password` are those of the URI.
    """

    kind: StoreKind
    identity: str
    uri: str
    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return f"Address({self.identity!r})"


def parse_address(uri: str) -> Address:
    """Parse a tracking or registry URI. Raises InputError, whose message never contains credentials."""
    text = uri.strip()
    if not text:
        raise InputError("the registry's URI is empty", hint=_HINT)
    if not text.isprintable():
        raise InputError("the registry's URI contains a control character", hint=_HINT)
    scheme = text.split(":", 1)[0].lower() if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", text) else ""
    scheme = text.lower() if text.lower() in _DATABRICKS else scheme  # MLflow takes the word alone, too
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise InputError(f"the registry's URI is not valid: {error}", hint=_HINT) from error
    match scheme.partition("+")[0]:
        case "http" | "https":
            return _server(text, parts, port)
        case "sqlite":
            return Address(kind=StoreKind.SQLITE, identity=text.partition("?")[0], uri=text)
        case database if database in _DATABASES:
            return Address(kind=StoreKind.DATABASE, identity=_hide_credentials(parts), uri=text)
        case "" | "file":
            return Address(kind=StoreKind.FOLDER, identity=text, uri=text)
        case databricks if databricks in _DATABRICKS:
            raise InputError(
                "Databricks and Unity Catalog registries are not supported",
                hint="use an open-source MLflow server, a database or a folder",
            )
        case other:
            raise InputError(f"m2g does not support registries at {other}:…", hint=_HINT)


def _server(text: str, parts: SplitResult, port: int | None) -> Address:
    if " " in text:
        raise InputError("the registry's URI contains a space", hint=_HINT)
    if not parts.hostname:
        raise InputError("the registry's URI has no host", hint=_HINT)
    standard = {"http": 80, "https": 443}[parts.scheme]
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    netloc = host if port in (None, standard) else f"{host}:{port}"
    return Address(
        kind=StoreKind.SERVER,
        identity=f"{parts.scheme}://{netloc}{parts.path.rstrip('/')}",
        uri=text,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
    )


def _hide_credentials(parts: SplitResult) -> str:
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
