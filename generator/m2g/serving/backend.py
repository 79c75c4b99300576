"""A serving backend as a value: the system in the cluster that serves a model. KServe's is in `serving/kserve`.

All differences between backends are in this value and in its renderer (`rendering/backends`); no stage asks which
backend a model has. Validation and review recognize a backend by the objects that it writes. `inference/curl`,
`serving/gate` and `smoke/` hold what only KServe's value refers to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

from m2g.compat.runtime import Runtime
from m2g.compat.verdict import Verdict
from m2g.core.finding import Finding
from m2g.core.manifest import Manifest
from m2g.core.model import Release, Value
from m2g.core.setting_fields import KserveVersion
from m2g.inference.curl import Endpoint
from m2g.serving.spec import Serving, ServingChoice

Place: TypeAlias = tuple[str | int, ...]
"""The path of a field in an object, such as `("spec", "predictor", "timeout")`."""
Commands: TypeAlias = Callable[[Endpoint, Sequence[str] | str], tuple[str, ...]]
"""(deployed model, file or command with the request body) → shell commands that send the request."""


class Kind(Value, frozen=True, kw_only=True):
    """A kind of Kubernetes objects. The group of core kinds is empty."""

    group: str
    kind: str


class Backend(Value, frozen=True, kw_only=True):
    """One serving backend."""

    name: str
    """The name in the setting `backend`."""
    main: Kind
    """The kind of the object that serves a model. The object's name is the model's slug."""
    writes: tuple[Kind, ...]
    """The kinds that m2g renders for it. Argo CD and Flux must be allowed to apply them."""
    beside: tuple[Kind, ...] = ()
    """Further kinds that settings ask for. Argo CD and Flux may apply them where `sync.bounds.kinds` names them."""
    settings: Mapping[Place, str] = {}
    """Field of an object that m2g writes → setting. The first match counts."""
    recorded: tuple[Place, ...] = ()
    """Fields of the main object that come from the release record."""
    configured: Mapping[Place, Place] = {}
    """Field of the main object → field of m2g.yaml that it comes from."""
    host_label: Callable[[str, str], str]
    """(slug, namespace) → the longest host label of a service. Kubernetes allows 63 characters."""
    choose: Callable[[Release, Serving, str, Sequence[Runtime]], tuple[ServingChoice, list[Finding]]]
    """(release, settings, storage URI or empty if no cluster can read it, described runtimes) → how the release is
    served, with findings if it cannot be served like that."""
    reads_storage: Callable[[ServingChoice], bool]
    """Whether the model is read from its storage URI."""
    contradictions: Callable[[Serving], Iterator[Finding]]
    """Settings that the backend refuses. The path of a finding is the setting's."""
    verdict: Callable[[Manifest, Sequence[Manifest], Release | None, KserveVersion, Sequence[Runtime]], Verdict | None]
    """(built main object, all objects of its overlay, release, KServe version, described runtimes) → whether the
    object's runtime loads the model; None if that is not known."""
    refused_update: Callable[[Manifest, Manifest], str]
    """(main object before, after) → why the cluster refuses the update; empty if it does not."""
    health: Callable[[str, str, Serving], tuple[Mapping[str, str], ...]]
    """(name of what serves a version: the slug, or that of a canary; namespace, settings) → references (apiVersion,
    kind, name, namespace) to the objects whose health Flux checks."""
    health_expressions: Callable[[Serving, Mapping[str, str]], tuple[Mapping[str, str], ...]] = (
        lambda serving, versions: ()
    )
    """(settings, name of what serves → its version) → how Flux judges these objects by CEL (apiVersion, kind,
    inProgress, failed, current), so that a healthy object of an earlier version does not count."""
    argocd_health: str = ""
    """A Lua health check of the main kind for Argo CD; empty if Argo CD's own is correct."""
    ingress: Commands
    """Commands to send a request through the cluster's ingress; none for a model that is not exposed."""
    port_forward: Commands
    """Commands to send a request through `kubectl port-forward`."""
