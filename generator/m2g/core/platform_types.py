"""`platform` in m2g.yaml: what m2g writes to platform/install."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from m2g.core.model import Value
from m2g.core.setting_fields import Text

Extra = Literal["keda"]
"""What is installed beside KServe and what it needs."""


class PlatformInstall(Value, frozen=True, kw_only=True):
    """Write platform/install: what a cluster needs before it serves models, for the KServe version and mode of
    `kserve`."""

    engine: Literal["argocd", "flux"]
    """Who applies it."""
    repository: Text
    """The URL from which Argo CD reads this repository. Flux uses the GitRepository of `sync.flux.source`."""
    revision: Text = "main"
    """The branch that Argo CD reads."""
    domain: Annotated[
        str,
        Meta(
            max_length=253,
            pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+$",
            description="a domain in lower case, such as models.example.com",
        ),
    ] = "example.com"
    """The domain of the models' host names."""
    extras: tuple[Extra, ...] = ()
    """What is installed beside KServe, such as `keda`."""
    values: dict[Text, dict[str, Any]] = {}
    """Component (`kserve`, `cert-manager`) to Helm values, which win over those that m2g sets."""
