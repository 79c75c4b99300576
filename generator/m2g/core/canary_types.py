"""The keys of m2g.yaml and model.yaml about a canary: a candidate that gets a share of the traffic."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, UnsetType

from m2g.core.model import Value
from m2g.core.setting_fields import Name, Text

CanaryForm: TypeAlias = Literal["spec", "route", "graph"]
"""How a cluster splits the traffic: `spec.canary` of one InferenceService, a HTTPRoute or an InferenceGraph in front of
two."""
Percent = Annotated[int, Meta(ge=0, le=100)]
HostPattern = Annotated[
    str,
    Meta(
        max_length=200,
        pattern=r"^(\{model\}|[a-z0-9])([a-z0-9.-]|\{model\}|\{namespace\})*\.[a-z0-9-]*[a-z0-9]$",
        description="a host name with {model} for the slug, such as {model}.{namespace}.models.example.com",
    ),
]


class Gateway(Value, frozen=True, kw_only=True):
    """The Gateway (Gateway API) through which callers reach the models: `kserveIngressGateway` in KServe's ConfigMap
    inferenceservice-config, where `enableGatewayApi` must be true."""

    namespace: Name = "kserve"
    name: Name = "kserve-ingress-gateway"
    host: HostPattern | UnsetType = UNSET
    """The host name of the HTTPRoutes that m2g writes, with `{model}` for the slug. Only the form `route` needs it."""


class Canary(Value, frozen=True, kw_only=True):
    """A candidate that runs beside the stable version. Set `version`, or `alias` to follow an alias, or both: then the
    share is that of the version, and the alias is what the next canary starts with."""

    version: Annotated[int, Meta(ge=1, le=2**31 - 1)] | UnsetType = UNSET
    alias: Text | UnsetType = UNSET
    percent: Percent | UnsetType = UNSET
    """The candidate's share of the traffic. 0 is a dark launch. The default is the first step."""
    steps: Annotated[tuple[Percent, ...], Meta(min_length=1)] = (0, 10, 50, 100)
    """The shares that `m2g canary MODEL step` goes through."""
    replicas: Annotated[int, Meta(ge=1, le=2**31 - 1)] | UnsetType = UNSET
    """The candidate's pods. The default is its share of `minReplicas`, at least one."""

    @property
    def share(self) -> int:
        """The candidate's share of the traffic."""
        return self.steps[0] if self.percent is UNSET else self.percent
