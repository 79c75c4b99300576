"""What the forms of a predictor share: resources, environment, probes."""

from __future__ import annotations

import math
from collections.abc import Mapping

from m2g.rendering.objects import Object
from m2g.serving.spec import Serving

PORT = 8080
_PROBE_SECONDS = 10
_PRIVILEGES: Object = {
    "allowPrivilegeEscalation": False,
    "privileged": False,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
}
"""As KServe's own runtimes have them."""


def environment(env: Mapping[str, str]) -> Object:
    """`env`, by name; nothing for none."""
    return {"env": [{"name": name, "value": value} for name, value in sorted(env.items())]} if env else {}


def resources(serving: Serving) -> Object:
    """Requests and limits."""
    return {"resources": {"requests": dict(serving.requests), "limits": dict(serving.limits)}}


def privileges() -> Object:
    """The least that a container needs, for images that we know not to run as root."""
    return {"securityContext": dict(_PRIVILEGES)}


def probes(path: str, serving: Serving) -> Object:
    """Readiness and startup by one path."""
    if serving.knative:
        # Knative fills in the port; a startup probe is left out, its support differs between versions.
        return {"readinessProbe": _probe({"path": path, "scheme": "HTTP"}, 3)}
    get: Object = {"path": path, "port": PORT, "scheme": "HTTP"}
    tries = math.ceil(serving.startup_seconds / _PROBE_SECONDS)
    return {"readinessProbe": _probe(get, 3), "startupProbe": _probe(get, tries)}


def _probe(get: Object, failures: int) -> Object:
    return {"httpGet": get, "periodSeconds": _PROBE_SECONDS, "timeoutSeconds": 5, "failureThreshold": failures}
