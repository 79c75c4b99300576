"""The shell commands that send a body to a deployed model, for people who copy them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from m2g.core.model import Value

_GATEWAY = (
    "GATEWAY=$(kubectl get svc -n istio-system -l app=istio-ingressgateway -o jsonpath='{.items[0].metadata.name}')"
)


class Endpoint(Value, frozen=True, kw_only=True):
    """A deployed model. `knative`: its pods are reached by a gateway alone; `local`: no address outside the cluster."""

    slug: str
    namespace: str
    path: str
    knative: bool = False
    local: bool = False


def format_host_lookup(target: Endpoint) -> str:
    """The host name that the ingress knows the model by."""
    name, place = shlex.quote(target.slug), shlex.quote(target.namespace)
    return f"HOST=$(kubectl get inferenceservice {name} -n {place} -o jsonpath='{{.status.url}}' | cut -d/ -f3)"


def format_ingress_call(target: Endpoint, body: Sequence[str] | str) -> tuple[str, ...]:
    """By the cluster's ingress; nothing for a model that has none. `body` is a file, or the command that prints it."""
    if target.local:
        return ()
    return (format_host_lookup(target), *_post(body, f'"http://$INGRESS_HOST:$INGRESS_PORT{target.path}"', named=True))


def format_port_forward_call(target: Endpoint, body: Sequence[str] | str) -> tuple[str, ...]:
    """By a forwarded port: Kind, and every cluster without a load balancer.

    Straight to a pod where that is possible: KServe's service is headless, and kubectl forwards no service port then.
    """
    url = shlex.quote(f"http://localhost:8080{target.path}")
    if not target.knative:
        pod = f"kubectl port-forward -n {shlex.quote(target.namespace)} deploy/{shlex.quote(target.slug)}-predictor"
        return (f"{pod} 8080:8080 &", *_post(body, url, named=False))
    forward = "kubectl port-forward -n istio-system"
    if target.local:
        return (
            f"{forward} svc/knative-local-gateway 8080:80 &",
            format_host_lookup(target),
            *_post(body, url, named=True),
        )
    return (_GATEWAY, f'{forward} "svc/$GATEWAY" 8080:80 &', format_host_lookup(target), *_post(body, url, named=True))


def _post(body: Sequence[str] | str, url: str, *, named: bool) -> tuple[str, ...]:
    # A port that is being forwarded answers after a moment.
    headers = """-H "Host: $HOST" """ if named else ""
    patience = "--retry 5 --retry-connrefused " if "localhost" in url else ""
    if isinstance(body, str):
        return (
            f"curl {patience}{headers}-H 'Content-Type: application/json' -d {shlex.quote('@' + body)} \\",
            f"  {url}",
        )
    return (
        f"{shlex.join(body)} |",
        f"  curl {patience}{headers}-H 'Content-Type: application/json' -d @- \\",
        f"  {url}",
    )
