"""The environment variables of the programs that m2g starts: only those that are named here or by the caller."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

BASE = (
    *("LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_MESSAGES", "TZ", "TMPDIR", "SYSTEMROOT", "LD_LIBRARY_PATH"),
    *("DYLD_LIBRARY_PATH", "NIX_LD", "NIX_LD_LIBRARY_PATH"),
)
"""What every program gets beside PATH. None of it is a secret, and none of it names code that Python would import."""
NETWORK = (
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
)
"""What a program needs to reach a server."""


def clean_environment(passed: Iterable[str] = ()) -> dict[str, str]:
    """The variables of this process that are in BASE or in `passed`. A name that ends with `*` is a prefix.

    PATH has only absolute folders, because an empty one or `.` is the folder in which the program runs: a branch could
    put a program there. Python imports nothing from that folder, either.
    """
    names = {*BASE, *passed}
    prefixes = tuple(name[:-1] for name in names if name.endswith("*"))
    kept = {
        name: value for name, value in os.environ.items() if name in names or (prefixes and name.startswith(prefixes))
    }
    return kept | {"PATH": find_path(os.environ), "PYTHONSAFEPATH": "1"}


def find_path(variables: Mapping[str, str]) -> str:
    """The absolute folders of PATH."""
    folders = variables.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(folder for folder in folders if os.path.isabs(folder))
