"""Find out which forge a remote is on, and open it."""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET

from m2g.core.errors import InputError, OutsideError
from m2g.core.model import Value
from m2g.core.proposal_types import Proposals
from m2g.forge import Forge
from m2g.forge.client import Ask, ForgeClient
from m2g.forge.gitea import Gitea
from m2g.forge.github import GitHub, find_api
from m2g.forge.gitlab import GitLab
from m2g.forge.plain import PlainGit

TOKEN = "M2G_TOKEN"  # noqa: S105  # a variable's name
_SCP = re.compile(r"(?:[^@/]+@)?([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\]):(?!//)(.+)")
_ENVIRONMENT = {"GITHUB_SERVER_URL": "github", "CI_SERVER_URL": "gitlab", "FORGEJO_SERVER_URL": "gitea"}


class Place(Value, frozen=True, kw_only=True):
    """Where a repository is: the address of the forge's pages (empty for a path), and its name there."""

    server: str = ""
    path: str = ""

    @property
    def page(self) -> str:
        """The page of the repository."""
        return f"{self.server}/{self.path}" if self.server else ""


def locate(url: str) -> Place:
    """The place that the address of a remote names. SSH says nothing about the pages: they are taken to be at https."""
    parts = urlsplit(url)
    path = parts.path.strip("/").removesuffix(".git")
    if parts.scheme in ("http", "https"):
        return Place(server=f"{parts.scheme}://{parts.netloc}", path=path)
    if parts.scheme in ("ssh", "git+ssh") and parts.hostname:
        return Place(server=f"https://{parts.hostname}", path=path)
    scp = _SCP.fullmatch(url)
    if scp and not url.startswith("/"):
        return Place(server=f"https://{scp[1]}", path=scp[2].strip("/").removesuffix(".git"))
    return Place()


def open_forge(url: str, rules: Proposals) -> Forge:
    """The forge of a remote, with the token of M2G_TOKEN; plain Git without one.

    Raises InputError if nothing tells which forge it is, or if it cannot be used yet.
    """
    token = os.environ.get(TOKEN, "").strip()
    place = locate(url)
    kind = rules.forge if rules.forge != "auto" else guess_kind(place.server)
    if not token or rules.forge == "none" or not (place.server or rules.api is not UNSET):
        return PlainGit(place.page, kind)
    api = "" if rules.api is UNSET else rules.api
    kind = kind or _probe(api or f"{place.server}/api/v1")
    if not place.path:
        raise InputError("the address of the remote names no repository on a forge", hint="see `git remote -v`")
    match kind:
        case "github":
            return GitHub(api or find_api(place.server), place.page, place.path, token)
        case "gitlab":
            return GitLab(api or f"{place.server}/api/v4", place.page, place.path, token)
        case "gitea":
            return Gitea(api or f"{place.server}/api/v1", place.page, place.path, token)
        case _:
            raise InputError(
                f"m2g does not know which forge {urlsplit(place.server).netloc} is",
                hint="set proposals.forge in m2g.yaml to github, gitlab or gitea; or to none, to push branches only",
            )


def guess_kind(server: str) -> str:
    """The forge by its host and by the variables of its own CI; empty if neither tells."""
    host = urlsplit(server).hostname or ""
    for name, kind in _ENVIRONMENT.items():
        named = urlsplit(os.environ.get(name, "")).hostname
        if named and named == host:
            is_gitea = name == "GITHUB_SERVER_URL" and os.environ.get("GITEA_ACTIONS") == "true"
            return "gitea" if is_gitea else kind
    if host in ("github.com", "www.github.com") or host.endswith(".ghe.com"):
        return "github"
    if host == "gitlab.com" or host.startswith("gitlab."):
        return "gitlab"
    return "gitea" if host in ("codeberg.org", "gitea.com") or host.startswith(("gitea.", "forgejo.")) else ""


class _Version(msgspec.Struct):
    version: str


def _probe(api: str) -> str:
    """Whether Gitea answers there. It is asked without the token."""
    try:
        return "gitea" if ForgeClient(api, {}).ask(Ask(path="/version"), _Version).version else ""
    except (InputError, OutsideError):
        return ""
