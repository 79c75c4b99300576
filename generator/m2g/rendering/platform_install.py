"""Render platform/install: what a cluster needs before it can serve a model. A pure function of m2g.yaml.

The order is in stages: KServe looks for Knative only when it starts, and a Gateway needs its controller's kinds.

    base      cert-manager, KEDA; Envoy Gateway, or Istio and Knative's operator
    network   the Gateway, or Knative Serving
    kserve    KServe's kinds, its controller, its runtimes
"""

from __future__ import annotations

import msgspec

from m2g.compat.platform import VERSIONS, find_charts
from m2g.core.config_types import Config
from m2g.core.platform_types import PlatformInstall
from m2g.core.setting_fields import Mode
from m2g.core.stamp import stamp
from m2g.core.yaml_writer import Plain, dump
from m2g.rendering.gitops import install_argocd as argocd
from m2g.rendering.gitops import install_flux as flux
from m2g.rendering.gitops.install import Component, Files, make_object
from m2g.rendering.kserve.inference_service import name_mode
from m2g.repository import layout

_GATEWAY_CLASS, _GATEWAY = "envoy", "kserve-ingress-gateway"
_NAMESPACES = {
    "envoy-gateway": "envoy-gateway-system",
    **dict.fromkeys(("istio-base", "istiod", "istio-ingressgateway"), "istio-system"),
    **dict.fromkeys(("kserve-crd", "kserve-runtimes"), "kserve"),
}
"""The namespaces that do not have the name of their component."""
_NEEDS = {
    "istiod": ("istio-base",),
    "istio-ingressgateway": ("istiod",),
    "kserve": ("kserve-crd",),
    "kserve-runtimes": ("kserve",),
}


def render_platform(config: Config) -> dict[str, bytes]:
    """Path to content of every file in platform/install; none if m2g.yaml does not say `platform`."""
    platform = config.platform
    if isinstance(platform, msgspec.UnsetType):
        return {}
    components = list_components(config, platform)
    files = _render_network(config, platform)
    if platform.engine == "argocd":
        files |= argocd.render_install(platform, components, layout.from_git_root(config.sync.path, layout.INSTALL))
    else:
        files |= flux.render_install(config.sync, components)
    return {
        f"{layout.INSTALL}/{path}": stamp(path, "---\n".join(dump(one) for one in objects))
        for path, objects in files.items()
    }


def list_components(config: Config, platform: PlatformInstall) -> list[Component]:
    """The charts that m2g.yaml asks for, in order."""
    charts = find_charts(config.kserve.version)
    standard = config.kserve.mode is Mode.STANDARD
    network = ["envoy-gateway"] if standard else ["istio-base", "istiod", "istio-ingressgateway", "knative-operator"]
    names = ["cert-manager", *network, *platform.extras, "kserve-crd", "kserve", "kserve-runtimes"]
    return [
        Component(
            name=name,
            stage="kserve" if name.startswith("kserve") else "base",
            namespace=_NAMESPACES.get(name, name),
            chart=charts[name],
            values=_merge(_choose_values(config, platform, name), platform.values.get(name, {})),
            needs=_NEEDS.get(name, ()),
        )
        for name in names
        if name in charts
    ]


def _choose_values(config: Config, platform: PlatformInstall, name: str) -> dict[str, Plain]:
    """The values of a chart that m2g sets."""
    match name:
        case "cert-manager":
            return {"crds": {"enabled": True}}
        case "istio-base":
            return {"defaultRevision": "default"}
        case "istiod":
            return {"proxy": {"autoInject": "disabled"}}
        case "kserve":
            gateway: dict[str, Plain] = {"domain": platform.domain}
            if config.kserve.mode is Mode.STANDARD:
                gateway["disableIstioVirtualHost"] = True
                gateway["ingressGateway"] = {
                    "enableGatewayApi": True,
                    "kserveGateway": f"kserve/{_GATEWAY}",
                    "className": _GATEWAY_CLASS,
                }
            mode = name_mode(config.kserve)
            return {"kserve": {"controller": {"deploymentMode": mode, "gateway": gateway}}}
        case "kserve-runtimes":
            return {"kserve": {"servingruntime": {"enabled": True}}}
        case _:
            return {}


def _merge(ours: dict[str, Plain], theirs: dict[str, Plain]) -> dict[str, Plain]:
    """Helm values, where those of m2g.yaml win."""
    merged = dict(ours)
    for key, value in theirs.items():
        before = merged.get(key)
        merged[key] = _merge(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return merged


def _render_network(config: Config, platform: PlatformInstall) -> Files:
    """The objects that both engines apply as they are, in the stage `network`."""
    if config.kserve.mode is Mode.STANDARD:
        gateway: dict[str, Plain] = {
            "gatewayClassName": _GATEWAY_CLASS,
            "listeners": [
                {"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}}
            ],
        }
        kind: dict[str, Plain] = {"controllerName": "gateway.envoyproxy.io/gatewayclass-controller"}
        return {
            "network/gateway.yaml": [
                make_object("v1", "Namespace", "kserve"),
                make_object("gateway.networking.k8s.io/v1", "GatewayClass", _GATEWAY_CLASS, spec=kind),
                make_object("gateway.networking.k8s.io/v1", "Gateway", _GATEWAY, "kserve", spec=gateway),
            ]
        }
    serving: dict[str, Plain] = {
        "version": VERSIONS[config.kserve.version].knative,
        "config": {"domain": {platform.domain: ""}},
    }
    ingress: dict[str, Plain] = {"controller": "istio.io/ingress-controller"}
    place = ("knative-serving", "knative-serving")
    return {
        "network/knative.yaml": [
            make_object("v1", "Namespace", "knative-serving"),
            make_object("operator.knative.dev/v1beta1", "KnativeServing", *place, spec=serving),
            make_object("networking.k8s.io/v1", "IngressClass", "istio", spec=ingress),
        ]
    }
