"""What KServe is installed with: the charts, and for each minor version of KServe the versions it was released with.

The source of the versions is KServe's own list (kserve-deps.env, before 0.16 hack/quick_install.sh and the scripts of
its CI) at the tag of each release; of Kubernetes, the version of its CI (.github/actions/minikube-setup). For 0.21 it
is the list of the main branch of August 2026.
"""

from __future__ import annotations

from m2g.core.model import Value


class PlatformVersions(Value, frozen=True, kw_only=True):
    """The versions that one KServe was released and tested with."""

    kserve: str
    kubernetes: str
    cert_manager: str
    gateway_api: str
    envoy_gateway: str
    istio: str
    knative_operator: str
    knative: str
    keda: str


_GATEWAY_17 = {"gateway_api": "v1.4.1", "envoy_gateway": "v1.6.3"}
_KNATIVE_17 = {"istio": "1.27.1", "knative_operator": "v1.21.1", "knative": "1.21.1"}
_SINCE_17 = {"kubernetes": "1.34", "cert_manager": "v1.17.0", **_KNATIVE_17}

VERSIONS: dict[str, PlatformVersions] = {
    "0.15": PlatformVersions(
        kserve="v0.15.2",
        kubernetes="1.30",
        cert_manager="v1.16.1",
        gateway_api="v1.2.1",
        envoy_gateway="v1.2.2",
        istio="1.23.2",
        knative_operator="v1.15.7",
        knative="1.15.2",
        keda="2.14.0",
    ),
    "0.16": PlatformVersions(
        kserve="v0.16.0",
        kubernetes="1.30",
        cert_manager="v1.17.0",
        gateway_api="v1.2.1",
        envoy_gateway="v1.2.2",
        istio="1.27.1",
        knative_operator="v1.16.0",
        knative="1.15.2",
        keda="2.16.1",
    ),
    "0.17": PlatformVersions(kserve="v0.17.1", keda="2.17.3", **_SINCE_17, **_GATEWAY_17),
    "0.18": PlatformVersions(kserve="v0.18.1", keda="2.17.3", **_SINCE_17, **_GATEWAY_17),
    "0.19": PlatformVersions(
        kserve="v0.19.0", keda="2.18.0", gateway_api="v1.4.1", envoy_gateway="v1.7.0", **_SINCE_17
    ),
    "0.20": PlatformVersions(
        kserve="v0.20.0", keda="2.18.0", gateway_api="v1.5.1", envoy_gateway="v1.8.1", **_SINCE_17
    ),
    "0.21": PlatformVersions(
        kserve="v0.21.0", keda="2.18.0", gateway_api="v1.5.1", envoy_gateway="v1.8.1", **_SINCE_17
    ),
}


class Chart(Value, frozen=True, kw_only=True):
    """A Helm chart: `repository` begins with https:// or oci://."""

    repository: str
    name: str
    version: str


_KSERVE = "oci://ghcr.io/kserve/charts"
_ISTIO = "https://istio-release.storage.googleapis.com/charts"


def find_charts(version: str) -> dict[str, Chart]:
    """The chart of each component of a minor version of KServe. `runtimes` is a chart of its own from 0.17 on."""
    found = VERSIONS[version]
    split = tuple(map(int, version.split("."))) >= (0, 17)
    return {
        "cert-manager": _chart("https://charts.jetstack.io", "cert-manager", found.cert_manager),
        "envoy-gateway": _chart("oci://docker.io/envoyproxy", "gateway-helm", found.envoy_gateway),
        "istio-base": _chart(_ISTIO, "base", found.istio),
        "istiod": _chart(_ISTIO, "istiod", found.istio),
        "istio-ingressgateway": _chart(_ISTIO, "gateway", found.istio),
        "knative-operator": _chart("https://knative.github.io/operator", "knative-operator", found.knative_operator),
        "keda": _chart("https://kedacore.github.io/charts", "keda", found.keda),
        "kserve-crd": _chart(_KSERVE, "kserve-crd", found.kserve),
        "kserve": _chart(_KSERVE, "kserve-resources" if split else "kserve", found.kserve),
        **({"kserve-runtimes": _chart(_KSERVE, "kserve-runtime-configs", found.kserve)} if split else {}),
    }


def _chart(repository: str, name: str, version: str) -> Chart:
    return Chart(repository=repository, name=name, version=version)
