"""What the predictors of all profiles share: resources, environment variables, probes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import cast

from m2g.core.setting_fields import MODEL, PREDICTOR
from m2g.core.settings import list_fields
from m2g.core.yaml_writer import Plain
from m2g.rendering.objects import Object
from m2g.serving.environment_runtime import PRIVILEGES
from m2g.serving.spec import Serving

PORT = 8080
PROBE_SECONDS = 10
_PROBES = ("readinessProbe", "livenessProbe", "startupProbe")
OF_RUNTIMES = frozenset({"runtimeVersion", "storage"})
"""Settings of `model` that a container has not."""
_CHECKS = ("httpGet", "tcpSocket", "grpc", "exec")


def render_env(env: Mapping[str, str], references: Mapping[str, object] | None = None) -> Object:
    """`env`, sorted by name; nothing if there are no variables. `references` are those with `valueFrom`."""
    found: dict[str, Object] = {name: {"name": name, "value": value} for name, value in env.items()}
    for name, value in (references or {}).items():
        found[name] = {"name": name, "valueFrom": cast(Plain, value)}
    return {"env": [found[name] for name in sorted(found)]} if found else {}


def render_given(serving: Serving, place: tuple[str, ...], *, batch: bool = False) -> Object:
    """The settings that are written as they are below `place`, in the order of the table."""
    return {
        field.row.places[0][-1]: cast(Plain, serving.given[name])
        for name, field in list_fields().items()
        if serving.given.get(name)
        and field.row.places
        and field.row.places[0][:-1] == place
        and (field.row.batch or not batch)
    }


def render_container(container: Object, serving: Serving, *, batch: bool = False) -> Object:
    """The container that serves the model, with the settings of containers. A probe changes fields of m2g's own."""
    given = render_given(serving, MODEL, batch=batch)
    if "name" in container:  # a container of its own, and not `model`
        given = {name: value for name, value in given.items() if name not in OF_RUNTIMES}
    for name in _PROBES:
        probe, before = given.get(name), container.get(name)
        if isinstance(probe, Mapping) and isinstance(before, Mapping):
            other = any(check in probe for check in _CHECKS)
            given[name] = {key: value for key, value in before.items() if not (other and key in _CHECKS)} | dict(probe)
    secured = dict(restrict_container(serving))
    for part in (container.get("securityContext"), given.pop("securityContext", None)):
        secured |= part if isinstance(part, Mapping) else {}
    return container | given | ({"securityContext": secured} if secured else {})


def render_pod(serving: Serving, *, batch: bool = False) -> Object:
    """The settings of pods."""
    given = render_given(serving, PREDICTOR, batch=batch)
    secured = restrict_pod(serving)
    secured |= own if isinstance(own := given.pop("securityContext", None), Mapping) else {}
    return given | ({"securityContext": secured} if secured else {})


def restrict_container(serving: Serving) -> Object:
    """The securityContext of a container under the Pod Security Standard that the settings ask for."""
    if serving.pod_security != "restricted":
        return {}
    return dict(PRIVILEGES) | {"seccompProfile": {"type": "RuntimeDefault"}}


def restrict_pod(serving: Serving) -> Object:
    """The same for the whole pod, with the containers that KServe adds. Knative takes none, and no field is needed."""
    if serving.pod_security != "restricted" or serving.knative:
        return {}
    return {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def render_resources(serving: Serving) -> Object:
    """Requests and limits."""
    return {"resources": {"requests": dict(serving.requests), "limits": dict(serving.limits)}}


def restrict_privileges() -> Object:
    """The least privileges, for images that are known not to run as root."""
    return {"securityContext": dict(PRIVILEGES)}


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
