"""Argo CD in a cluster: repo server, application controller, ApplicationSet controller, API server and its cache."""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx

from tests.support.cluster.assets import ASSETS, program
from tests.support.cluster.kubernetes import Cluster, wait
from tests.support.machine import whole_seconds
from tests.support.programs import address, call, folder, running

_APPLICATIONS = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications"
_SETS = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applicationsets"
CLUSTER = "here"
"""The name under which Argo CD knows the cluster."""


class ArgoCd:
    """Argo CD at work. `hooks` are the addresses that want to know of a push."""

    def __init__(self, cluster: Cluster, place: Path, api: str, sets: str) -> None:
        self.cluster = cluster
        self._place = place
        self._api = api
        self.hooks = [f"http://{api}/api/webhook", f"http://{sets}/api/webhook"]

    def names(self) -> list[str]:
        """The names of all Applications."""
        return self.cluster.names(_APPLICATIONS)

    def find(self, name: str) -> dict[str, Any]:
        """An Application; empty if there is none."""
        return self.cluster.get(f"{_APPLICATIONS}/{name}") or {}

    def state(self, name: str) -> tuple[str, str]:
        """Sync status and health."""
        status = self.find(name).get("status", {})
        return status.get("sync", {}).get("status", ""), status.get("health", {}).get("status", "")

    def synced(self, name: str, commit: str) -> bool:
        """Whether an Application is in sync with a commit."""
        sync = self.find(name).get("status", {}).get("sync", {})
        return bool(sync.get("status") == "Synced" and sync.get("revision") == commit)

    def refresh(self, name: str, how: str = "hard") -> None:
        """Compare an Application with Git again, and wait until that is done."""
        annotation = "argocd.argoproj.io/refresh"
        self.cluster.kubectl("-n", "argocd", "annotate", "--overwrite", "application", name, f"{annotation}={how}")
        wait(lambda: annotation not in self.find(name)["metadata"].get("annotations", {}), f"{name} to be refreshed")

    def generate(self, name: str) -> None:
        """Let an ApplicationSet look at Git again."""
        annotation = "argocd.argoproj.io/application-set-refresh"
        self.cluster.kubectl("-n", "argocd", "annotate", "--overwrite", "applicationset", name, f"{annotation}=true")
        wait(
            lambda: annotation not in (self.cluster.get(f"{_SETS}/{name}") or {})["metadata"].get("annotations", {}),
            f"the ApplicationSet {name} to be generated",
        )

    def command(self, *arguments: str, code: int = 0) -> str:
        """What Argo CD's command line prints."""
        own = [str(self._place / "argocd"), *arguments, "--server", self._api, "--plaintext", "--auth-token", "none"]
        return call(own, code=code, more={"HOME": str(self._place)})


@contextlib.contextmanager
def argocd(cluster: Cluster, flags: Sequence[str] = (), labels: Sequence[str] = ()) -> Iterator[ArgoCd]:
    """All of it. `flags` are the ApplicationSet controller's; `labels` those of the cluster's Secret."""
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(folder("argocd"))
        _configure(cluster, labels)
        redis, repositories, api, sets = address(), address(), address(), address()
        for part in ("argocd", "argocd-repo-server", "argocd-application-controller", "argocd-server"):
            (place / part).symlink_to(program("argocd"))
        (place / "argocd-applicationset-controller").symlink_to(program("argocd"))
        for name in ("ssh", "tls", "plugins", "gpg"):
            (place / name).mkdir()
        (place / "ssh/ssh_known_hosts").touch()
        more = {
            "KUBECONFIG": str(cluster.write_kubeconfig("argocd")),
            "ARGOCD_EXEC_TIMEOUT": f"{whole_seconds(90)}s",
            "ARGOCD_FAKE_IN_CLUSTER": "true",
            "ARGOCD_GPG_ENABLED": "false",
            "ARGOCD_SSH_DATA_PATH": str(place / "ssh"),
            "ARGOCD_TLS_DATA_PATH": str(place / "tls"),
            "ARGOCD_PLUGINSOCKFILEPATH": str(place / "plugins"),
            "ARGOCD_GNUPGHOME": str(place / "gpg"),
        }
        stack.enter_context(running("redis", [program("redis"), redis]))
        patience = ["--repo-server-timeout-seconds", whole_seconds(60)]
        server = ["--repo-server", repositories, "--repo-server-plaintext", *patience]
        cache = ["--redis", redis]
        commands: dict[str, list[str]] = {
            "argocd-repo-server": [
                "--disable-tls", *cache, "--address", "127.0.0.1", "--port", _port(repositories),
                "--metrics-address", "127.0.0.1", "--metrics-port", _port(address()),
            ],
            "argocd-application-controller": [
                *server, *cache, "--app-resync", "30", "--app-resync-jitter", "0", "--metrics-port", _port(address()),
                "--self-heal-timeout-seconds", "1",
            ],
            "argocd-applicationset-controller": [
                "--argocd-repo-server", repositories, "--repo-server-plaintext", "--webhook-addr", sets,
                "--metrics-addr", address(), "--probe-addr", address(), *flags,
            ],
            "argocd-server": [
                *server, *cache, "--insecure", "--disable-auth", "--address", "127.0.0.1", "--port", _port(api),
                "--metrics-address", "127.0.0.1", "--metrics-port", _port(address()),
            ],
        }  # fmt: skip
        for name, own in commands.items():
            stack.enter_context(running(name, [str(place / name), *own], **more))
        engine = ArgoCd(cluster, place, api, sets)
        wait(lambda: all(_answers(url) for url in engine.hooks), "Argo CD to answer", 120)
        yield engine


def _answers(url: str) -> bool:
    try:
        httpx.get(url, trust_env=False)
    except httpx.TransportError:
        return False
    return True


def _configure(cluster: Cluster, labels: Sequence[str]) -> None:
    """What Argo CD's installation makes, by `kubectl apply` as its guide says, and the cluster's Secret."""
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "argocd"}})
    cluster.kubectl("-n", "argocd", "apply", "-f", ASSETS / "argocd-config")
    text = secrets.token_urlsafe()
    patch = {"stringData": {"server.secretkey": text}}
    cluster.kubectl("-n", "argocd", "patch", "secret", "argocd-secret", "-p", json.dumps(patch))
    settings = {"data": {"cluster.inClusterEnabled": "false", "timeout.reconciliation": "1h"}}
    cluster.kubectl("-n", "argocd", "patch", "configmap", "argocd-cm", "-p", json.dumps(settings))
    authority = base64.b64encode(cluster.authority).decode()
    config = {"bearerToken": cluster.server.token, "tlsClientConfig": {"caData": authority}}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "cluster-here",
            "namespace": "argocd",
            "labels": {"argocd.argoproj.io/secret-type": "cluster", **dict.fromkeys(labels, "true")},
        },
        "stringData": {"name": CLUSTER, "server": cluster.server.address, "config": json.dumps(config)},
    }
    cluster.apply(secret)


def _port(where: str) -> str:
    return where.rpartition(":")[2]
