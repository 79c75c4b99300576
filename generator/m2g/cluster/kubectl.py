"""The one way to ask a cluster: `kubectl get … -o json`."""

from __future__ import annotations

import json

from m2g.core import process
from m2g.core.errors import OutsideError
from m2g.core.manifest import Manifest, get_at
from m2g.core.process.environment import NETWORK, clean_environment

_PASSED = (
    *("HOME", "USER", "KUBECONFIG", "KUBERNETES_*", "AWS_*", "AZURE_*", "CLOUDSDK_*", "GOOGLE_*", "USE_GKE_*"),
    *NETWORK,
)
"""What kubectl and the login programs of the clouds need."""
_SECONDS = 30


class Kubectl:
    """One cluster: that of `context`, or of kubectl's current context if it is empty."""

    def __init__(self, context: str = "") -> None:
        self._options = (*((f"--context={context}",) if context else ()), f"--request-timeout={_SECONDS}s")

    def list(self, kind: str, *, namespace: str = "", selector: str = "") -> list[Manifest]:
        """The objects of a kind, of all namespaces if none is named. Empty if the cluster does not have the kind.

        `kind` is a plural with its group (`kustomizations.kustomize.toolkit.fluxcd.io`). Raises OutsideError if kubectl
        is missing, or if the cluster does not answer or refuses.
        """
        where = ("--namespace", namespace) if namespace else ("--all-namespaces",)
        answer = self._get(kind, *where, *(("--selector", selector) if selector else ()))
        items = get_at(answer, "items")
        return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []

    def find(self, kind: str, name: str, *, namespace: str = "") -> Manifest | None:
        """One object, or None if the cluster does not have it. Raises OutsideError as `list` does."""
        return self._get(kind, name, *(("--namespace", namespace) if namespace else ()), "--ignore-not-found")

    def _get(self, *arguments: str) -> Manifest | None:
        command = ["kubectl", "get", *arguments, "--output=json", *self._options]
        ran = process.run(command, timeout=2 * _SECONDS, environment=clean_environment(_PASSED))
        if ran.code and "the server doesn't have a resource type" in ran.stderr:
            return None
        if ran.code:
            reason = ran.stderr.splitlines()[-1][:300] if ran.stderr else f"exit code {ran.code}"
            hint = "check it with: kubectl cluster-info; choose another context with --context"
            raise OutsideError(f"the cluster does not answer {' '.join(arguments[:2])}: {reason}", hint=hint)
        found = json.loads(ran.stdout) if ran.stdout.strip() else None
        return found if isinstance(found, dict) else None
