"""The repository that a clone was made from: its address, the token for it, and its branches."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from m2g.core.errors import InputError, OutsideError
from m2g.core.model import Value
from m2g.core.redact import redact
from m2g.git.program import run_apart, run_here, run_remote

TOKEN = "M2G_TOKEN"  # noqa: S105  # a variable's name
_USER = "m2g"
"""GitHub, GitLab, Gitea and Bitbucket take a token as the password, with any user."""
_WEB = ("http", "https")


class Remote(Value, frozen=True, kw_only=True):
    """The address of a repository, without user and password, and the password for it, if there is one."""

    url: str
    user: str = ""
    password: str = ""

    @property
    def credentials(self) -> Mapping[str, str]:
        """Git's settings that send the password to this host alone. Nothing of it is in the address."""
        if not self.password:
            return {}
        parts = urlsplit(self.url)
        pair = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return {f"http.{parts.scheme}://{parts.netloc}/.extraHeader": f"Authorization: Basic {pair}"}

    @property
    def shown(self) -> str:
        """The address for a message."""
        return redact(self.url)

    def hide(self, text: str) -> str:
        """A text of Git without the password."""
        return redact(text.replace(self.password, "REDACTED") if self.password else text)


class Listed(Value, frozen=True, kw_only=True):
    """What a remote lists: its default branch (empty if HEAD names none) and its branches with their commits."""

    default: str
    branches: Mapping[str, str]


def find_remote(root: Path, name: str = "") -> Remote:
    """The remote of the clone at `root`; without a name, `origin`, or the only one there is.

    The token of M2G_TOKEN goes to http and https remotes, and a password in the address is taken out of it.
    Raises InputError if there is no such remote.
    """
    ran = run_here(root, "remote")
    names = ran.stdout.decode().split()
    if ran.code != 0:
        raise InputError(f"{root} is not in a Git repository", hint="clone it first: git clone ADDRESS")
    chosen = name or ("origin" if "origin" in names else names[0] if len(names) == 1 else "")
    if chosen not in names:
        raise InputError(
            f"this repository has no remote {chosen or 'origin'!r}",
            hint="add the one to propose changes to: git remote add origin ADDRESS",
        )
    url = run_here(root, "remote", "get-url", "--push", chosen).stdout.decode().strip()
    return parse_remote(url, root)


def parse_remote(url: str, root: Path) -> Remote:
    """The remote of an address. A path is relative to `root`."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise InputError("the address of the remote is not valid", hint="see `git remote -v`") from error
    if parts.scheme not in _WEB:
        is_path = "://" not in url and (":" not in url or os.path.exists(root / url))
        return Remote(url=os.path.abspath(root / url) if is_path else url)
    bare = f"[{host}]" if ":" in host else host
    netloc = bare if port is None else f"{bare}:{port}"
    given = unquote(parts.password or "")
    token = os.environ.get(TOKEN, "").strip()
    password = token or given or (unquote(parts.username or "") if _looks_like_token(parts.username) else "")
    user = _USER if token or not parts.username or not given else unquote(parts.username)
    clean = urlunsplit((parts.scheme, netloc, parts.path, "", ""))
    return Remote(url=clean, user=user if password else "", password=password)


def _looks_like_token(user: str | None) -> bool:
    return bool(user) and len(user or "") >= 20


def list_branches(folder: Path, remote: Remote) -> Listed:
    """The branches of a remote. Raises OutsideError if it does not answer or denies access."""
    ran = run_remote(
        folder, "ls-remote", "--symref", "--", remote.url, "HEAD", "refs/heads/*", credentials=remote.credentials
    )
    if ran.code != 0:
        raise explain_failure(remote, ran.stderr, "cannot be read")
    default, branches = "", {}
    for line in os.fsdecode(ran.stdout).splitlines():
        left, _, ref = line.partition("\t")
        if left.startswith("ref: ") and ref == "HEAD":
            default = left.removeprefix("ref: ").removeprefix("refs/heads/")
        elif ref.startswith("refs/heads/"):
            branches[ref.removeprefix("refs/heads/")] = left
    return Listed(default=default, branches=branches)


def explain_failure(remote: Remote, stderr: str, what: str) -> OutsideError:
    """The error of a remote that did not do what m2g asked for."""
    text = remote.hide(stderr)
    lines = [line for line in text.splitlines() if line.strip()] or ["no reason given"]
    last = next((line for line in lines if line.startswith(("fatal:", "error:", "remote:"))), lines[-1])
    hint = "check the address with `git remote -v`, and the network"
    if any(word in text for word in ("terminal prompts disabled", "Authentication failed", "403", "401", "ermission")):
        hint = f"set {TOKEN} to a token that may write the contents of the repository and its pull requests"
    return OutsideError(f"{remote.shown} {what}: {last[:300]}", hint=hint)


def is_complete(root: Path) -> bool:
    """Whether a clone has every object of its commits: it is neither shallow nor partial."""
    shallow = run_here(root, "rev-parse", "--is-shallow-repository").stdout.strip() == b"true"
    partial = run_here(root, "config", "--get-regexp", r"^(extensions\.partialclone|remote\..*\.promisor)$").code == 0
    return not shallow and not partial


def run_checked(folder: Path, *arguments: str, stdin: bytes | None = None) -> bytes:
    """What git prints in a repository of m2g's own. Raises OutsideError."""
    ran = run_apart(folder, *arguments, stdin=stdin)
    if ran.code != 0:
        raise OutsideError(f"git {arguments[0]} failed: {ran.stderr[:300] or f'exit code {ran.code}'}")
    return ran.stdout
