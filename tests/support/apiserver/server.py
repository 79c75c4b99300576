"""etcd and kube-apiserver on loopback, in a folder of their own, and the few requests that the tests make."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx

from tests.support.machine import seconds
from tests.support.paths import ROOT

ASSETS = ROOT / ".tools/apiserver"
_KEEP = Path(__file__).with_name("keep.py")
CERTIFICATE = "certificates/apiserver.crt"
_ATTEMPTS = 3
_SECONDS = 90
_NOT_HERE = "NamespaceLifecycle,ServiceAccount"
"""Admission that asks for objects which a dry run never makes: the namespace, its default service account."""
_ALONE = (f"--disable-admission-plugins={_NOT_HERE}", "--authorization-mode=AlwaysAllow")
_IN_A_CLUSTER = ("--disable-admission-plugins=ServiceAccount", "--authorization-mode=RBAC", "--request-timeout=5m")
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_REFUSALS = ("failed to create typed patch object", "failed to convert new object")
"""What server-side apply says to a wrong type, with code 500."""
_LIMITS = {"GOMAXPROCS": "2", "GOMEMLIMIT": "1500MiB", "GOGC": "50"}


class NotReady(Exception):
    """The server did not come up; the text has the end of its log."""


class Answer(NamedTuple):
    """What the server says about one object."""

    accepted: bool
    message: str = ""


class ApiServer:
    """A running server, with all that it writes in `folder`. Nothing is stored but what `create` makes."""

    def __init__(self, client: httpx.Client, folder: Path, token: str) -> None:
        self.client = client
        self.address = str(client.base_url)
        self.folder = folder
        self.token = token
        self._resources: dict[str, dict[str, tuple[str, bool]]] = {}

    def version(self) -> str:
        """The minor version, such as `1.36`."""
        found = self.client.get("/version").raise_for_status().json()
        return f"{found['major']}.{found['minor'].rstrip('+')}"

    def check(self, manifest: Mapping[str, Any]) -> Answer:
        """Server-side apply as a dry run, with strict field validation; a nameless object is a POST."""
        api_version, kind = manifest.get("apiVersion"), manifest.get("kind")
        found = self._resource(str(api_version), str(kind))
        if found is None:
            return Answer(accepted=False, message=f"the server has no {api_version} {kind}")
        plural, namespaced = found
        metadata = manifest.get("metadata")
        named = metadata if isinstance(metadata, dict) else {}
        namespace = f"/namespaces/{quote(str(named.get('namespace', 'default')), safe='')}" if namespaced else ""
        path = f"{_root(str(api_version))}{namespace}/{plural}"
        parameters = {"dryRun": "All", "fieldValidation": "Strict", "fieldManager": "m2g"}
        if isinstance(named.get("name"), str) and named["name"]:
            parameters["force"] = "true"
            response = self.client.patch(
                f"{path}/{quote(named['name'], safe='')}",
                params=parameters,
                content=json.dumps(manifest, ensure_ascii=False).encode(),  # read as YAML, which has no surrogates
                headers={"Content-Type": "application/apply-patch+yaml"},
            )
        else:
            response = self.client.post(path, params=parameters, json=manifest)
        message = "" if response.is_success else _message(response)
        if response.status_code >= 500 and not message.startswith(_REFUSALS):
            raise AssertionError(f"{response.status_code} for {json.dumps(manifest)}: {response.text}")
        return Answer(accepted=response.is_success, message=message)

    def install(self, definitions: Sequence[Mapping[str, Any]]) -> None:
        """Make CRDs for good, and wait until they are served. Raises AssertionError with the server's words."""
        wanted: dict[str, set[str]] = defaultdict(set)
        for definition in definitions:
            response = self.client.post(_DEFINITIONS, params={"fieldValidation": "Strict"}, json=definition)
            assert response.is_success, _message(response)
            spec = definition["spec"]
            for version in spec["versions"]:
                wanted[f"{spec['group']}/{version['name']}"].add(spec["names"]["kind"])
        until(lambda: all(kinds <= self._served(api).keys() for api, kinds in wanted.items()), "the CRDs to be served")

    def _served(self, api_version: str) -> dict[str, tuple[str, bool]]:
        """Kind → (resource, whether it is in a namespace)."""
        response = self.client.get(_root(api_version))
        if response.status_code == 404:
            return {}
        resources = response.raise_for_status().json()["resources"]
        return {one["kind"]: (one["name"], one["namespaced"]) for one in resources if "/" not in one["name"]}

    def _resource(self, api_version: str, kind: str) -> tuple[str, bool] | None:
        if api_version not in self._resources:
            self._resources[api_version] = self._served(api_version)
        return self._resources[api_version].get(kind)


def until(true: Callable[[], bool], what: str, patience: float = 30) -> None:
    """Wait until a function says so. Raises NotReady where it does not in time; a machine that gets busy has more."""
    began = time.monotonic()
    while not true():
        if time.monotonic() > began + seconds(patience):
            raise NotReady(f"waited {seconds(patience):.0f} s for {what}")
        time.sleep(0.05)


@contextlib.contextmanager
def serve(*, cluster: bool = False) -> Iterator[ApiServer]:
    """Start etcd and kube-apiserver; whatever happens, both and their folder are gone afterwards.

    `cluster`: with RBAC, and a namespace must exist.
    """
    for attempt in range(_ATTEMPTS):  # between choosing a free port and listening to it, somebody may take it
        with contextlib.ExitStack() as stack:
            try:
                server = stack.enter_context(_started(_IN_A_CLUSTER if cluster else _ALONE))
            except NotReady:
                if attempt == _ATTEMPTS - 1:
                    raise
                continue
            yield server
            return


@contextlib.contextmanager
def _started(flags: Sequence[str]) -> Iterator[ApiServer]:
    folder = Path(tempfile.mkdtemp(prefix="m2g-apiserver-"))
    token = secrets.token_urlsafe()
    (folder / "tokens.csv").write_text(f"{token},tester,1,system:masters\n")
    (folder / "tokens.csv").chmod(0o600)
    port, store = free_port(), free_port()
    commands = {"etcd": _etcd(folder, store), "kube-apiserver": [*_kube_apiserver(folder, port, store), *flags]}
    keeper = subprocess.Popen(
        [sys.executable, _KEEP, folder, *(f"{name}={json.dumps(command)}" for name, command in commands.items())],
        stdin=subprocess.PIPE,
        env={**os.environ, **_LIMITS},
    )
    try:
        with _client(folder, token, port) as client:
            yield ApiServer(client, folder, token)
    finally:
        assert keeper.stdin is not None
        keeper.stdin.close()
        keeper.wait(seconds(30))


@contextlib.contextmanager
def _client(folder: Path, token: str, port: int) -> Iterator[httpx.Client]:
    certificate = folder / CERTIFICATE
    try:
        until(lambda: _alive(folder) and certificate.is_file(), "the server's certificate", _SECONDS)
        trusted = ssl.create_default_context(cafile=str(certificate))
        headers = {"Authorization": f"Bearer {token}"}
        address = f"https://127.0.0.1:{port}"
        with httpx.Client(
            base_url=address, headers=headers, verify=trusted, timeout=seconds(60), trust_env=False
        ) as client:
            until(lambda: _alive(folder) and _ready(client), "/readyz", _SECONDS)
            yield client
    except NotReady as error:
        logs = [path.read_text(errors="replace")[-2000:] for path in sorted(folder.glob("*.log"))]
        raise NotReady("\n".join([str(error), *logs])) from error


def _alive(folder: Path) -> bool:
    ended = folder / "ended"
    if ended.exists():
        raise NotReady(ended.read_text())
    return True


def _ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").is_success
    except httpx.TransportError:
        return False


def _etcd(folder: Path, port: int) -> list[str]:
    address = f"http://127.0.0.1:{port}"
    return [
        str(ASSETS / "etcd"),
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={address}",
        f"--advertise-client-urls={address}",
        "--listen-peer-urls=http://127.0.0.1:0",
        "--unsafe-no-fsync",
        f"--quota-backend-bytes={128 << 20}",  # without it 10 GB are mapped
        "--log-level=warn",
    ]


def _kube_apiserver(folder: Path, port: int, store: int) -> list[str]:
    certificates = folder / "certificates"
    return [
        str(ASSETS / "kube-apiserver"),
        f"--etcd-servers=http://127.0.0.1:{store}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        "--endpoint-reconciler-type=none",
        f"--secure-port={port}",
        f"--cert-dir={certificates}",
        "--service-account-issuer=https://127.0.0.1",
        f"--service-account-key-file={certificates / 'apiserver.key'}",
        f"--service-account-signing-key-file={certificates / 'apiserver.key'}",
        f"--token-auth-file={folder / 'tokens.csv'}",
        "--anonymous-auth=false",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--enable-priority-and-fairness=false",
        "--profiling=false",
    ]


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def _root(api_version: str) -> str:
    parts = "/".join(quote(part, safe="") for part in api_version.split("/"))
    return f"/apis/{parts}" if "/" in api_version else f"/api/{parts}"


def _message(response: httpx.Response) -> str:
    try:
        return str(response.json().get("message", response.text))
    except ValueError:
        return response.text
