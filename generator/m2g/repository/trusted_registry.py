"""Which server the credentials of the environment belong to: the one that the environment or the base branch names."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET

from m2g.core.config_types import Config
from m2g.core.errors import InputError, OutsideError
from m2g.core.model import Value
from m2g.git import read
from m2g.registry.address import StoreKind, parse_address
from m2g.registry.artifacts import find_local_path
from m2g.repository import config as configuration
from m2g.repository.layout import CONFIG

_TARGETS = ("GITHUB_BASE_REF", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "CI_DEFAULT_BRANCH")
"""The branch that a pull request of GitHub or a merge request of GitLab wants to change, else GitLab's default."""
_DEFAULT, _EVENT = "CI_DEFAULT_BRANCH", "GITHUB_EVENT_PATH"
"""GitLab's default branch; GitHub's is in the file of the event, which the runner writes."""
_MAX_EVENT = 16 << 20
_PORTS = {"http": 80, "https": 443}


class ChosenRegistry(Value, frozen=True, kw_only=True):
    """The registry to read. `distrust` is empty, or says why the credentials of the environment are not for it.

    `workspace` is that of m2g.yaml, or empty.
    """

    uri: str
    distrust: str = ""
    workspace: str = ""


class _EventRepository(msgspec.Struct, frozen=True):
    default_branch: str = ""


class _Event(msgspec.Struct, frozen=True):
    repository: _EventRepository = _EventRepository()


def choose_registry(root: Path, config: Config) -> ChosenRegistry:
    """The registry that m2g.yaml names, else the environment. Raises InputError if neither does.

    Whoever may push a branch may name another server in its m2g.yaml, or a database that the branch brings and that
    names other servers. The credentials go there only if the environment or m2g.yaml of the base branch names the same.
    """
    uri = configuration.find_registry_uri(config)
    workspace = "" if config.registry.workspace is UNSET else config.registry.workspace
    if config.registry.uri is UNSET:
        return ChosenRegistry(uri=uri, workspace=workspace)
    place, named = (
        _find_place(uri),
        _find_place(os.environ.get("MLFLOW_REGISTRY_URI") or os.environ.get("MLFLOW_TRACKING_URI") or ""),
    )
    is_server = bool(find_server(uri))
    if is_server and named == place:
        return ChosenRegistry(uri=uri, workspace=workspace)
    given = _read_base(root)
    base = _find_place(given or "")
    if given is None or (place in (named, base) and (is_server or not _is_in_git(root, uri))):
        return ChosenRegistry(uri=uri, workspace=workspace)
    others = " or ".join(sorted({named, base} - {"", place}))
    instead = f"the base branch and the environment name {others}" if others else "the base branch names none"
    if place in (named, base):
        instead = "every branch may bring its own, because it is in Git"
    return ChosenRegistry(uri=uri, workspace=workspace, distrust=f"{CONFIG} names {place}, but {instead}")


def _find_place(uri: str) -> str:
    """What decides where credentials go: a server, or the whole URI of a database or a folder."""
    text = uri.strip()
    try:
        return find_server(text) or (parse_address(text).identity if text else "")
    except InputError:
        return ""


def _is_in_git(root: Path, uri: str) -> bool:
    """Whether Git tracks the file or the folder of a local store."""
    match parse_address(uri).kind:
        case StoreKind.SQLITE:
            file = Path(os.path.realpath(root / uri.strip().partition(":///")[2].partition("?")[0]))
            return file.name in (read.list_tracked(file.parent) or ())
        case StoreKind.FOLDER:
            folder = find_local_path(uri.strip())
            return folder is not None and bool(read.list_tracked(Path(os.path.realpath(root / folder))))
        case _:
            return False


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

    Anybody who may push can make a branch, and a pull request to it. So where the default branch is known, it has to
    name the same registry. In CI and in a clone, a base that was not fetched names none. A repository without a remote
    is trusted, because nobody but this person has written it.
    """
    target = next((os.environ[name] for name in _TARGETS if os.environ.get(name)), "")
    missing = "" if target or os.environ.get("CI") or not read.is_alone(root) else None
    default = os.environ.get(_DEFAULT) or _read_default_of_event()
    refs = [f"refs/remotes/origin/{branch}" for branch in dict.fromkeys((target, default)) if branch]
    try:
        found = {_read_registry(root, ref, missing) for ref in refs or (read.find_default_base(root),)}
    except (InputError, OutsideError):
        return missing
    places = {_find_place(uri or "") for uri in found}
    return found.pop() if len(places) == 1 else ""


def _read_registry(root: Path, ref: str, missing: str | None) -> str | None:
    """The registry in m2g.yaml of a ref; `missing` if it has no such file. Raises InputError for an unknown ref."""
    commit = read.resolve_ref(root, ref)
    content = read.read_files(root, read.list_files(root, commit, [CONFIG])).get(CONFIG)
    if content is None:
        return missing
    try:
        config = configuration.parse(content).config
    except InputError:
        return ""
    return "" if config is None or config.registry.uri is UNSET else config.registry.uri


def _read_default_of_event() -> str:
    """The default branch of GitHub's repository; empty if there is no event."""
    try:
        with open(os.environ.get(_EVENT, ""), "rb") as file:
            event = msgspec.json.decode(file.read(_MAX_EVENT), type=_Event)
    except (OSError, msgspec.DecodeError):
        return ""
    return event.repository.default_branch
