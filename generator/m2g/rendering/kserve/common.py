"""What the predictors of all profiles share: resources, environment variables, probes."""

from __future__ import annotations

import math
from collections.abc import Mapping

from m2g.rendering.objects import Object
from m2g.serving.spec import Serving

PORT = 8080
PROBE_SECONDS = 10
_PRIVILEGES: Object = {
    "allowPrivilegeEscalation": False,
    "privileged": False,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
}
"""The same as in KServe's own runtimes."""


def render_env(env: Mapping[str, str]) -> Object:
    """`env`, sorted by name; nothing if there are no variables."""
    return {"env": [{"name": name, "value": value} for name, value in sorted(env.items())]} if env else {}


def render_resources(serving: Serving) -> Object:
    """Requests and limits."""
    return {"resources": {"requests": dict(serving.requests), "limits": dict(serving.limits)}}


def restrict_privileges() -> Object:
    """The least privileges, for images that are known not to run as root."""
    return {"securityContext": dict(_PRIVILEGES)}


def render_probes(path: str, serving: Serving, *, in_list: bool = False) -> Object:
    """A readiness and a startup probe of the same path, for the model or for a container `in_list`."""
    get: Object = {"path": path, "port": PORT, "scheme": "HTTP"}
    if serving.knative:
        # Knative sets the port; but the webhook adds `port: 0`, which Argo CD shows as a difference in a list.
        # There is no startup probe, because not all Knative versions support it.
        return {"readinessProbe": make_probe(get if in_list else {"path": path, "scheme": "HTTP"}, 3)}
    tries = math.ceil(serving.startup_seconds / PROBE_SECONDS)
    return {"readinessProbe": make_probe(get, 3), "startupProbe": make_probe(get, tries)}


def make_probe(get: Object, failures: int) -> Object:
    """A probe that may fail some times."""
    return {"httpGet": get, "periodSeconds": PROBE_SECONDS, "timeoutSeconds": 5, "failureThreshold": failures}
