"""Which server the credentials of the environment belong to: the one that the environment or the base branch names."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import UNSET

from m2g.core.config_types import Config
from m2g.core.errors import InputError, OutsideError
from m2g.core.model import Value
from m2g.git import read
from m2g.repository import config as configuration
from m2g.repository.layout import CONFIG

_TARGETS = ("GITHUB_BASE_REF", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "CI_DEFAULT_BRANCH")
"""The branch that a pull request of GitHub or a merge request of GitLab wants to change, else GitLab's default."""
_PORTS = {"http": 80, "https": 443}


class ChosenRegistry(Value, frozen=True, kw_only=True):
    """The registry to read. `distrust` is empty, or says why the credentials of the environment are not for it."""

    uri: str
    distrust: str = ""


def choose_registry(root: Path, config: Config) -> ChosenRegistry:
    """The registry that m2g.yaml names, else the environment. Raises InputError if neither does.

    Whoever may push a branch may name another server in its m2g.yaml. The credentials go there only if the environment
    or m2g.yaml of the base branch names the same server.
    """
    uri = configuration.find_registry_uri(config)
    named = os.environ.get("MLFLOW_REGISTRY_URI") or os.environ.get("MLFLOW_TRACKING_URI") or ""
    server = find_server(uri)
    if not server or find_server(named) == server:
        return ChosenRegistry(uri=uri)
    base = _read_base(root)
    if base is None or find_server(base) == server:
        return ChosenRegistry(uri=uri)
    others = " or ".join(sorted({find_server(text) for text in (named, base)} - {""}))
    instead = f"the base branch and the environment name {others}" if others else "the base branch names none"
    return ChosenRegistry(uri=uri, distrust=f"{CONFIG} names {server}, but {instead}")


def find_server(uri: str) -> str:
    """Scheme, host and port of a server's URI, without user and password; empty for a local store."""
    try:
        parts = urlsplit(uri.strip())
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return ""
    if parts.scheme not in _PORTS or not parts.hostname:
        return ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname.rstrip(".")
    return f"{parts.scheme}://{host}" + ("" if port == _PORTS[parts.scheme] else f":{port}")


def _read_base(root: Path) -> str | None:
    """The registry in m2g.yaml of the base branch; empty if it names none; None if nothing can be a base.

    In CI, a base that was not fetched names none. A person's repository without a base is trusted, because nobody but
    that person has written it.
    """
    target = next((os.environ[name] for name in _TARGETS if os.environ.get(name)), "")
    missing = "" if target or os.environ.get("CI") else None
    try:
        commit = read.resolve_ref(root, f"refs/remotes/origin/{target}" if target else read.find_default_base(root))
        entries = read.list_files(root, commit, [CONFIG])
        content = read.read_files(root, entries).get(CONFIG)
    except (InputError, OutsideError):
        return missing
    if content is None:
        return missing
    try:
        config = configuration.parse(content).config
    except InputError:
        return ""
    return "" if config is None or config.registry.uri is UNSET else config.registry.uri
