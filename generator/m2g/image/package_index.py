"""Where packages come from: the package index that the environment variables name, never one that a model names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence

from m2g.core.errors import InputError
from m2g.core.process.environment import NETWORK, clean_environment
from m2g.core.sanitize import make_visible

_UV = ("UV_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS")
_PIP = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS")
PASSED = (
    *NETWORK,
    *("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "NETRC"),
    *(*_UV, "UV_INDEX_*", "UV_NO_INDEX", "UV_OFFLINE", "UV_CACHE_DIR", "UV_NO_CACHE", "UV_PYTHON_INSTALL_DIR"),
    *("UV_NATIVE_TLS", "UV_SYSTEM_CERTS", "UV_INSECURE_HOST", "UV_HTTP_TIMEOUT", "UV_KEYRING_PROVIDER"),
    *(*_PIP, "PIP_NO_INDEX", "PIP_CACHE_DIR", "PIP_NO_CACHE_DIR", "PIP_TRUSTED_HOST", "PIP_CERT", "PIP_CLIENT_CERT"),
    *("PIP_PROXY", "PIP_DEFAULT_TIMEOUT", "PIP_RETRIES"),
)
"""The variables that say where packages come from, and how to get there. HOME is for ~/.netrc and the caches."""
_STOCK = "https://pypi.org/simple"


def installer_environment() -> dict[str, str]:
    """The environment of uv and pip: they read no settings file, neither in the home folder nor in any other.

    uv copies files from its cache. With links, whoever changed one environment would change all later ones.
    """
    settings = {
        "UV_NO_CONFIG": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_PROGRESS": "1",
        "UV_LINK_MODE": "copy",
        "PIP_CONFIG_FILE": os.devnull,
    }
    return clean_environment(PASSED) | settings


def check_indexes(model: str, options: Sequence[str]) -> None:
    """Raise InputError if the requirements of a model name a package index that the environment variables do not name.

    Whoever registers a model could choose another package of the same name there.
    """
    known = {_plain(url) for url in (_STOCK, *_configured())}
    for option in options:
        url = option.partition(" ")[2]
        if _plain(url) not in known:
            shown = make_visible(url, 200)
            raise InputError(
                f"the requirements of {model} name the package index {shown}, and a model may not choose its index",
                hint=f"if you trust it, name it yourself: export UV_INDEX={shown} PIP_EXTRA_INDEX_URL={shown}",
            )


def list_indexes() -> list[str]:
    """The package indexes that the environment variables name, without passwords."""
    return sorted({_plain(url) for url in _configured()} - {""})


def _configured() -> Iterable[str]:
    for name in (*_UV, *_PIP):
        for part in re.split(r"[\s,]+", os.environ.get(name, "")):
            yield re.sub(r"^[A-Za-z0-9_-]+=", "", part)


def _plain(url: str) -> str:
    return re.sub(r"(?<=//)[^/\s]*@", "", url).rstrip("/")
