"""A Kubernetes control plane on loopback: etcd, kube-apiserver with RBAC, garbage collection, and kubectl."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.support.apiserver.server import CERTIFICATE, ApiServer, serve, until
from tests.support.cluster.assets import ASSETS, program
from tests.support.machine import seconds
from tests.support.programs import call, folder, running

Manifest = dict[str, Any]
KSERVE = Path(os.environ.get("KSERVE_CRDS", ASSETS / "kserve-crds"))
"""The CRDs of KServe: those of its Go module, unless somebody names a folder with others."""


class Cluster:
    """A running control plane. `kubeconfig` is an administrator's."""

    def __init__(self, server: ApiServer, place: Path) -> None:
        self.server = server
        self.place = place
        self.authority = (server.folder / CERTIFICATE).read_bytes()
        self.kubeconfig = self.write_kubeconfig("default")

    def write_kubeconfig(self, namespace: str) -> Path:
        """A kubeconfig whose context has a namespace."""
        authority = base64.b64encode(self.authority).decode()
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "here", "namespace": namespace}}],
            "clusters": [
                {"name": "here", "cluster": {"server": self.server.address, "certificate-authority-data": authority}}
            ],
            "users": [{"name": "here", "user": {"token": self.server.token}}],
        }
        path = self.place / f"{namespace}.kubeconfig"
        path.write_text(json.dumps(content))
        return path

    def kubectl(self, *arguments: str | Path, given: str = "", code: int = 0) -> str:
        """What kubectl prints."""
        command = [program("kubectl"), f"--kubeconfig={self.kubeconfig}", *(str(one) for one in arguments)]
        return call(command, given, code=code, more={"KUBECACHEDIR": str(self.place / "cache")})

    def apply(self, *manifests: Manifest) -> None:
        """Apply objects as an administrator."""
        self.kubectl("apply", "--server-side", "-f", "-", given="\n---\n".join(json.dumps(one) for one in manifests))

    def get(self, path: str) -> Manifest | None:
        """An object or a list at a path of the API, such as `/api/v1/namespaces/dev`; None if there is none."""
        response = self.server.client.get(path)
        end = time.monotonic() + seconds(60)
        while response.status_code == 429 and time.monotonic() < end:  # the watch cache of a new CRD is not filled yet
            time.sleep(float(response.headers.get("Retry-After", "1")))
            response = self.server.client.get(path)
        if response.status_code == 404:
            return None
        found: Manifest = response.raise_for_status().json()
        return found

    def names(self, path: str) -> list[str]:
        """The names of the objects at a path of the API."""
        found = self.get(path) or {"items": []}
        return sorted(one["metadata"]["name"] for one in found["items"])


@contextlib.contextmanager
def control_plane() -> Iterator[Cluster]:
    """A cluster without nodes."""
    with contextlib.ExitStack() as stack:
        cluster = Cluster(stack.enter_context(serve(cluster=True)), stack.enter_context(folder("kubernetes")))
        controllers = [
            program("kube-controller-manager"),
            f"--kubeconfig={cluster.kubeconfig}",
            "--controllers=garbage-collector-controller,namespace-controller",
            "--leader-elect=false",
            "--secure-port=0",
            "--concurrent-gc-syncs=5",
        ]
        stack.enter_context(running("kube-controller-manager", controllers))
        for path in (KSERVE, ASSETS / "flux-crds", ASSETS / "argocd-crds"):
            cluster.kubectl("apply", "--server-side", "--request-timeout=5m", "-f", path)
        wait(lambda: _established(cluster), "the CRDs to be served")
        yield cluster


def _established(cluster: Cluster) -> bool:
    found = cluster.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions") or {"items": []}
    conditions = [one.get("status", {}).get("conditions") or [] for one in found["items"]]
    return all(any(c["type"] == "Established" and c["status"] == "True" for c in ones) for ones in conditions)


def wait(true: Callable[[], object], what: str, patience: float = 60) -> None:
    """Wait until a function returns something true."""
    until(lambda: bool(true()), what, patience)
