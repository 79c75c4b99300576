"""Format shell commands that send a request to a model that Seldon serves, for users to paste."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from m2g.inference.curl import Endpoint, post


def format_core_1_ingress(endpoint: Endpoint, body: Sequence[str] | str) -> tuple[str, ...]:
    """The call through the gateway of Istio or Ambassador, which knows a model by its path."""
    path = f"/seldon/{endpoint.namespace}/{endpoint.slug}{endpoint.path}"
    return post(body, f'"http://$INGRESS_HOST:$INGRESS_PORT{path}"', host="", content=endpoint.content)


def format_core_1_port_forward(predictor: str, endpoint: Endpoint, body: Sequence[str] | str) -> tuple[str, ...]:
    """The call through the service of the only predictor."""
    service = shlex.quote(f"svc/{endpoint.slug}-{predictor}")
    forward = f"kubectl port-forward -n {shlex.quote(endpoint.namespace)} {service} 8080:8000 &"
    return (
        forward,
        *post(body, shlex.quote(f"http://localhost:8080{endpoint.path}"), host="", content=endpoint.content),
    )


def format_core_2_port_forward(endpoint: Endpoint, body: Sequence[str] | str) -> tuple[str, ...]:
    """The call through Seldon's mesh, which knows a model by a header."""
    forward = f"kubectl port-forward -n {shlex.quote(endpoint.namespace)} svc/seldon-mesh 8080:80 &"
    url = shlex.quote(f"http://localhost:8080{endpoint.path}")
    return (
        forward,
        *post(body, url, host=f"-H {shlex.quote(f'Seldon-Model: {endpoint.slug}')} ", content=endpoint.content),
    )
