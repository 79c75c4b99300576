"""Format shell commands that send a request to a deployed model, for users to paste."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from m2g.core.model import Value

_GATEWAY = (
    "GATEWAY=$(kubectl get svc -n istio-system -l app=istio-ingressgateway -o jsonpath='{.items[0].metadata.name}')"
)

_HOST = '-H "Host: $HOST" '


class Endpoint(Value, frozen=True, kw_only=True):
    """A deployed model. `knative` pods are reachable only through a gateway; `local` models only inside the cluster."""

    slug: str
    namespace: str
    path: str
    knative: bool = False
    local: bool = False
    content: str = "application/json"


def format_host_lookup(endpoint: Endpoint) -> str:
    """The command that finds the host name of the model at the ingress."""
    name, namespace = shlex.quote(endpoint.slug), shlex.quote(endpoint.namespace)
    return f"HOST=$(kubectl get inferenceservice {name} -n {namespace} -o jsonpath='{{.status.url}}' | cut -d/ -f3)"


def format_ingress_call(endpoint: Endpoint, body: Sequence[str] | str) -> tuple[str, ...]:
    """The call through the cluster's ingress; empty for a model without one. `body` is a file, or a command that prints
    it."""
    if endpoint.local:
        return ()
    return (
        format_host_lookup(endpoint),
        *post(body, f'"http://$INGRESS_HOST:$INGRESS_PORT{endpoint.path}"', host=_HOST, content=endpoint.content),
    )


def format_port_forward_call(endpoint: Endpoint, body: Sequence[str] | str) -> tuple[str, ...]:
    """The call through a forwarded port, for kind and every cluster without a load balancer.

    The port is forwarded to a pod if possible, because KServe's service is headless and kubectl cannot forward its
    port.
    """
    url = shlex.quote(f"http://localhost:8080{endpoint.path}")
    if not endpoint.knative:
        pod = f"kubectl port-forward -n {shlex.quote(endpoint.namespace)} deploy/{shlex.quote(endpoint.slug)}-predictor"
        return (f"{pod} 8080:8080 &", *post(body, url, host="", content=endpoint.content))
    forward = "kubectl port-forward -n istio-system"
    if endpoint.local:
        return (
            f"{forward} svc/knative-local-gateway 8080:80 &",
            format_host_lookup(endpoint),
            *post(body, url, host=_HOST, content=endpoint.content),
        )
    return (
        _GATEWAY,
        f'{forward} "svc/$GATEWAY" 8080:80 &',
        format_host_lookup(endpoint),
        *post(body, url, host=_HOST, content=endpoint.content),
    )


def post(body: Sequence[str] | str, url: str, *, host: str, content: str) -> tuple[str, ...]:
    """The call itself. `host` is the option with the header that names the model, if there is one.

    `content` is the media type of the body.
    """
    data = "-d" if content == "application/json" else "--data-binary"  # -d drops the line breaks of a table
    # A forwarded port takes a moment until it accepts connections.
    retry = "--retry 5 --retry-connrefused " if "localhost" in url else ""
    if isinstance(body, str):
        return (
            f"curl {retry}{host}-H 'Content-Type: {content}' {data} {shlex.quote('@' + body)} \\",
            f"  {url}",
        )
    return (
        f"{shlex.join(body)} |",
        f"  curl {retry}{host}-H 'Content-Type: {content}' {data} @- \\",
        f"  {url}",
    )
