"""Gitea on loopback: a real forge with users, tokens, SSH keys, repositories, pull requests and branch protection.

with gitea() as forge:
    ada, ben = forge.user("ada"), forge.user("ben")
    fleet = ada.create("fleet")          # fleet.url, fleet.ssh_url, fleet.remote(ben)
    fleet.protect(required_approvals=1)
"""

from __future__ import annotations

import contextlib
import getpass
import os
import secrets
import shlex
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.support.apiserver.server import NotReady, until
from tests.support.machine import seconds
from tests.support.paths import ROOT
from tests.support.programs import address, call, environment, folder, running

ASSETS = ROOT / ".tools/forge"
_ROOT = "keeper"
_ATTEMPTS = 3
_CONFIG = """\
APP_NAME = m2g
RUN_USER = {user}
RUN_MODE = prod
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
WORK_PATH = {place}

[server]
HTTP_ADDR = {host}
HTTP_PORT = {port}
ROOT_URL = http://{host}:{port}/
STATIC_ROOT_PATH = {assets}
OFFLINE_MODE = true
START_SSH_SERVER = true
BUILTIN_SSH_SERVER_USER = git
SSH_DOMAIN = {host}
SSH_LISTEN_HOST = {host}
SSH_PORT = {ssh}

[database]
DB_TYPE = sqlite3

[repository]
DEFAULT_BRANCH = main
ENABLE_PUSH_CREATE_USER = false

[security]
INSTALL_LOCK = true
SECRET_KEY = secret
PASSWORD_HASH_ALGO = pbkdf2

[webhook]
ALLOWED_HOST_LIST = loopback

[indexer]
ISSUE_INDEXER_TYPE = db

[queue]
TYPE = channel

[session]
PROVIDER = memory

[cron]
ENABLED = false

[actions]
ENABLED = true

[log]
MODE = console
LEVEL = warn
"""


@dataclass(frozen=True)
class Repository:
    """One repository of a user. `path` is where the API has it; `url` and `ssh_url` hold no credential."""

    owner: User
    name: str
    path: str
    url: str
    ssh_url: str

    def remote(self, user: User) -> str:
        """The URL with a user's token in it."""
        return self.url.replace("http://", f"http://{user.name}:{user.token}@")

    def admit(self, user: User, permission: str = "write") -> None:
        """Let another user in: `read`, `write` or `admin`."""
        self.owner.ask("PUT", f"{self.path}/collaborators/{user.name}", permission=permission)

    def protect(self, branch: str = "main", **rules: Any) -> None:
        """Refuse pushes to a branch, or to all that fit a pattern; more rules by their names in the API."""
        self.owner.ask("POST", f"{self.path}/branch_protections", rule_name=branch, **{"enable_push": False, **rules})

    def hook(self, url: str, *events: str) -> None:
        """Tell a URL of each push, or of the events given."""
        config = {"url": url, "content_type": "json"}
        named = list(events or ["push"])
        self.owner.ask("POST", f"{self.path}/hooks", type="gitea", active=True, events=named, config=config)

    def push(self, root: Path) -> str:
        """As its owner: commit all that changed in a folder, and push it to main; the new commit."""
        if not (root / ".git").exists():
            git(root, "init", "-q", "-b", "main")
        git(root, "add", "-A")
        git(root, "commit", "-q", "--allow-empty", "-m", "change")
        git(root, "push", "-q", self.remote(self.owner), "HEAD:main")
        return git(root, "rev-parse", "HEAD").strip()

    def tips(self) -> dict[str, str]:
        """Branch → its commit."""
        lines = git(ROOT, "ls-remote", "--heads", self.remote(self.owner)).splitlines()  # the API's list is late
        return {ref.removeprefix("refs/heads/"): commit for commit, ref in (line.split("\t") for line in lines)}

    def pulls(self, state: str = "open") -> list[dict[str, Any]]:
        """The pull requests that are `open`, `closed` or `all`, as the API describes them."""
        return self.owner.pages(f"{self.path}/pulls", state=state)

    def pull(self, number: int) -> dict[str, Any]:
        """One pull request, with what the list leaves out."""
        found: dict[str, Any] = self.owner.ask("GET", f"{self.path}/pulls/{number}")
        return found

    def open(self, user: User, head: str, title: str, base: str = "main") -> int:
        """Open a pull request; its number."""
        made = user.ask("POST", f"{self.path}/pulls", head=head, base=base, title=title)
        return int(made["number"])

    def approve(self, user: User, number: int) -> None:
        """Approve a pull request."""
        user.ask("POST", f"{self.path}/pulls/{number}/reviews", event="APPROVED", body="")

    def merge(self, user: User, number: int, style: str = "merge") -> httpx.Response:
        """Try to merge a pull request (`merge`, `rebase`, `squash`) once Gitea has checked it for conflicts."""
        end = time.monotonic() + seconds(30)
        while True:
            answer = user.client.post(f"{self.path}/pulls/{number}/merge", json={"Do": style})
            if "try again later" not in answer.text or time.monotonic() > end:
                return answer
            time.sleep(0.1)

    def read(self, path: str, ref: str = "main") -> str:
        """The text of a file at a branch, tag or commit."""
        answer = self.owner.client.get(f"{self.path}/raw/{path}", params={"ref": ref})
        answer.raise_for_status()
        return answer.text


@dataclass(frozen=True)
class User:
    """A person or a bot. `client` speaks the API with `token`, which may do all that the user may."""

    name: str
    email: str
    password: str
    token: str
    client: httpx.Client
    place: Path

    def ask(self, method: str, path: str, **body: Any) -> Any:
        """What the API answers to a request with a JSON body; None for nothing. An error is an AssertionError."""
        answer = self.client.request(method, path, json=body or None)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def pages(self, path: str, **query: str) -> list[dict[str, Any]]:
        """All entries of a list, page by page."""
        found: list[dict[str, Any]] = []
        while True:
            page = str(len(found) // 50 + 1)
            answer = self.client.get(path, params={**query, "limit": "50", "page": page}).raise_for_status()
            found += answer.json()
            if len(answer.json()) < 50:
                return found

    def limited(self, *scopes: str) -> str:
        """A token with these scopes alone, such as `read:repository`."""
        body = {"name": secrets.token_hex(8), "scopes": list(scopes)}
        made = self.client.post(f"/users/{self.name}/tokens", json=body, auth=(self.name, self.password))
        return str(made.raise_for_status().json()["sha1"])

    def create(self, name: str, *, private: bool = False) -> Repository:
        """An empty repository."""
        made = self.ask("POST", "/user/repos", name=name, private=private, default_branch="main")
        return Repository(self, name, f"/repos/{self.name}/{name}", made["clone_url"], made["ssh_url"])

    def key(self) -> str:
        """Register a new SSH key; the command for `GIT_SSH_COMMAND`."""
        path = self.place / f"{self.name}-{secrets.token_hex(4)}"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.name, "-f", path], check=True)
        self.ask("POST", "/user/keys", title=path.name, key=path.with_suffix(".pub").read_text())
        options = ("IdentitiesOnly=yes", "StrictHostKeyChecking=yes", f"UserKnownHostsFile={self.place / 'hosts'}")
        return shlex.join(["ssh", "-F", "none", "-i", str(path), *(word for one in options for word in ("-o", one))])


class Gitea:
    """A running Gitea. `url` is that of its pages; the API is below `/api/v1`."""

    def __init__(self, url: str, place: Path, keeper: tuple[str, str], stack: contextlib.ExitStack) -> None:
        self.url = url
        self._place = place
        self._stack = stack
        self._keeper = self._client(auth=keeper)

    def user(self, name: str) -> User:
        """A new user."""
        password, email = secrets.token_hex(12), f"{name}@example.com"
        body = {"username": name, "email": email, "password": password, "must_change_password": False}
        made = self._keeper.post("/admin/users", json=body)
        assert made.is_success, made.text
        body = {"name": "all", "scopes": ["all"]}
        token = self._keeper.post(f"/users/{name}/tokens", json=body, auth=(name, password)).raise_for_status()
        text = str(token.json()["sha1"])
        client = self._client(headers={"Authorization": f"token {text}"})
        return User(name, email, password, text, client, self._place)

    def answers(self) -> bool:
        """Whether it is ready."""
        try:
            return self._keeper.get("/version").is_success
        except httpx.TransportError:
            return False

    def _client(self, **how: Any) -> httpx.Client:
        client = httpx.Client(base_url=f"{self.url}/api/v1", timeout=seconds(30), trust_env=False, **how)
        return self._stack.enter_context(client)


def git(root: Path, *arguments: str, code: int = 0, **variables: str) -> str:
    """What git prints on both streams, in a folder; it may speak HTTP and SSH. It must end with `code`."""
    done = subprocess.run(
        ["git", *arguments],
        cwd=root,
        env=os.environ | {"GIT_ALLOW_PROTOCOL": "file:http:ssh", "NO_PROXY": "*", **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds(120),
        check=False,
    )
    assert done.returncode == code, f"git {shlex.join(arguments)}\n{done.stdout}"
    return done.stdout


@contextlib.contextmanager
def gitea() -> Iterator[Gitea]:
    """Start a Gitea on free ports; it and its folder are gone afterwards, and its log is in .tools/logs."""
    program = ASSETS / "gitea"
    assert program.exists(), "Gitea is not in .tools/forge; `make forge` builds it"
    for attempt in range(_ATTEMPTS):  # between choosing a free port and listening to it, somebody may take it
        with contextlib.ExitStack() as stack:
            try:
                found = _start(program, stack)
            except NotReady:
                if attempt == _ATTEMPTS - 1:
                    raise
                continue
            yield found
            return


def _start(program: Path, stack: contextlib.ExitStack) -> Gitea:
    place = stack.enter_context(folder("gitea"))
    (host, port), ssh = address().split(":"), address().split(":")[1]
    config = place / "app.ini"
    user = getpass.getuser()
    config.write_text(_CONFIG.format(user=user, place=place, host=host, port=port, ssh=ssh, assets=ASSETS))
    own = [str(program), "--config", str(config)]
    seen = environment(place, USER=user)
    call([*own, "migrate"], more=seen)
    keeper = (_ROOT, secrets.token_hex(12))
    named = ["--username", keeper[0], "--password", keeper[1], "--email", f"{_ROOT}@example.com"]
    call([*own, "admin", "user", "create", "--admin", "--must-change-password=false", *named], more=seen)
    stack.enter_context(running("gitea", [*own, "web"], USER=user))
    forge = Gitea(f"http://{host}:{port}", place, keeper, stack)
    until(forge.answers, "Gitea to answer", 90)
    scan = ["ssh-keyscan", "-t", "rsa", "-p", ssh, host]
    until(lambda: _learn(scan, place / "hosts"), "Gitea's SSH server", 30)
    return forge


def _learn(scan: list[str], hosts: Path) -> bool:
    done = subprocess.run(scan, capture_output=True, text=True, check=False)
    hosts.write_text(done.stdout)
    return bool(done.stdout)
