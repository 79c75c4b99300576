"""Where a registry is: the URI a person wrote, taken apart, its credentials kept out of sight."""

from __future__ import annotations

import re
from enum import Enum, auto
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

from m2g.core.errors import InputError

_DATABASES = frozenset({"sqlite", "postgresql", "mysql", "mssql"})
_HINT = "write https://host, sqlite:///mlflow.db, or the path of a folder such as ./mlruns"


class StoreKind(Enum):
    """What stands at an address."""

    SERVER = auto()
    SQLITE = auto()
    DATABASE = auto()
    FOLDER = auto()


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """`identity` may be shown and recorded; `uri` may hold credentials and is for the store alone.

    For a server `identity` is also the URL that paths are added to, and `user` and `password` are those of the URI.
    """

    kind: StoreKind
    identity: str
    uri: str
    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return f"Address({self.identity!r})"


def parse_address(uri: str) -> Address:
    """Take a tracking or registry URI apart. Raises InputError, without the URI's credentials, where m2g cannot."""
    text = uri.strip()
    if not text:
        raise InputError("the registry's URI is empty", hint=_HINT)
    if not text.isprintable():
        raise InputError("the registry's URI has a control character", hint=_HINT)
    scheme = text.split(":", 1)[0].lower() if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", text) else ""
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
            return Address(kind=StoreKind.DATABASE, identity=_shown(parts), uri=text)
        case "" | "file":
            return Address(kind=StoreKind.FOLDER, identity=text, uri=text)
        case "databricks" | "databricks-uc" | "uc":
            raise InputError(
                "Databricks and Unity Catalog registries are not supported",
                hint="m2g reads open-source MLflow: a server, a database or a folder",
            )
        case other:
            raise InputError(f"m2g cannot read a registry at {other}:…", hint=_HINT)


def _server(text: str, parts: SplitResult, port: int | None) -> Address:
    if " " in text:
        raise InputError("the registry's URI has a space", hint=_HINT)
    if not parts.hostname:
        raise InputError("the registry's URI has no host", hint=_HINT)
    standard = {"http": 80, "https": 443}[parts.scheme]
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    where = host if port in (None, standard) else f"{host}:{port}"
    return Address(
        kind=StoreKind.SERVER,
        identity=f"{parts.scheme}://{where}{parts.path.rstrip('/')}",
        uri=text,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
    )


def _shown(parts: SplitResult) -> str:
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
