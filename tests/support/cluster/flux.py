"""Flux's source-controller and kustomize-controller in a cluster."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

from tests.support.cluster.assets import program
from tests.support.cluster.kubernetes import Cluster, wait
from tests.support.programs import address, folder, running

_KUSTOMIZATIONS = "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/flux-system/kustomizations"
_SOURCES = "/apis/source.toolkit.fluxcd.io/v1/namespaces/flux-system/gitrepositories"


class Flux:
    """The controllers at work in a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def names(self) -> list[str]:
        """The names of all Kustomizations."""
        return self.cluster.names(_KUSTOMIZATIONS)

    def spec(self, name: str) -> dict[str, Any]:
        """What a Kustomization says; empty if there is none."""
        spec: dict[str, Any] = (self.cluster.get(f"{_KUSTOMIZATIONS}/{name}") or {}).get("spec", {})
        return spec

    def uid(self, name: str) -> str:
        """What tells a Kustomization from another one with its name."""
        return str((self.cluster.get(f"{_KUSTOMIZATIONS}/{name}") or {"metadata": {"uid": ""}})["metadata"]["uid"])

    def status(self, name: str) -> dict[str, Any]:
        """The status of a Kustomization; empty if it has none."""
        found = self.cluster.get(f"{_KUSTOMIZATIONS}/{name}") or {}
        status: dict[str, Any] = found.get("status", {})
        return status

    def ready(self, name: str) -> tuple[str, str]:
        """The status and the message of its condition Ready."""
        for condition in self.status(name).get("conditions", []):
            if condition["type"] == "Ready":
                return condition["status"], f"{condition['reason']}: {condition['message']}"
        return "", ""

    def healthy(self, name: str, commit: str) -> bool:
        """Whether a Kustomization has applied a commit, and its health check has passed."""
        status, message = self.ready(name)
        return status == "True" and message.endswith(commit)

    def attempted(self, name: str, commit: str) -> bool:
        """Whether a Kustomization has tried a commit."""
        return str(self.status(name).get("lastAttemptedRevision", "")).endswith(commit)

    def clear(self) -> None:
        """Remove all Kustomizations and sources at once, and keep what they applied."""
        own = ("-n", "flux-system")
        for name in self.names():
            patch = '{"spec": {"deletionPolicy": "Orphan"}}'
            self.cluster.kubectl(*own, "patch", "kustomization", name, "--type=merge", "-p", patch)
        self.cluster.kubectl(*own, "delete", "kustomizations,gitrepositories", "--all", "--wait=false")
        for name in self.names():  # a running health check would hold them until its timeout
            free, merge = '{"metadata": {"finalizers": null}}', {"Content-Type": "application/merge-patch+json"}
            self.cluster.server.client.patch(f"{_KUSTOMIZATIONS}/{name}", content=free, headers=merge)
        wait(lambda: not self.names(), "the Kustomizations to be gone")

    def fetch(self) -> None:
        """Do not wait for the source's interval. A new artifact wakes the Kustomizations."""
        self._wake("gitrepository", "models")

    def reconcile(self, name: str) -> None:
        """Do not wait for a Kustomization's interval, but until it is done."""
        now = self._wake("kustomization", name)
        wait(lambda: self.status(name).get("lastHandledReconcileAt") == now, f"{name} to be reconciled", 120)

    def _wake(self, kind: str, name: str) -> str:
        now = str(time.time())
        annotation = f"reconcile.fluxcd.io/requestedAt={now}"
        self.cluster.kubectl("-n", "flux-system", "annotate", "--overwrite", kind, name, annotation)
        return now


@contextlib.contextmanager
def flux(cluster: Cluster, flags: Sequence[str] = ()) -> Iterator[Flux]:
    """Both controllers. `flags` are the kustomize-controller's."""
    with contextlib.ExitStack() as stack:
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "flux-system"}})
        for name in ("source-controller", "kustomize-controller"):
            storage = str(stack.enter_context(folder(f"{name}-data")))
            if name == "source-controller":
                host = address()
                own: Sequence[str] = (
                    f"--storage-path={storage}", f"--storage-addr={host}", f"--storage-adv-addr={host}",
                )  # fmt: skip
            else:
                own = ("--no-cross-namespace-refs", "--no-remote-bases", *flags)
            command = [
                program(name),
                "--watch-all-namespaces",
                "--enable-leader-election=false",
                f"--metrics-addr={address()}",
                f"--health-addr={address()}",
                "--events-addr=",
                *own,
            ]
            stack.enter_context(
                running(name, command, KUBECONFIG=str(cluster.kubeconfig), RUNTIME_NAMESPACE="flux-system")
            )
        yield Flux(cluster)
