"""A serving backend: the system in the cluster that serves a model, as a value. KServe's is in `serving/kserve`.

What differs between backends stands in this value and in its renderer (`rendering/backends`); no stage asks which
backend it has. Validation and review know a backend by the objects that it writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

from m2g.compat.runtime import Runtime
from m2g.compat.verdict import Verdict
from m2g.core.config_types import KserveVersion, Mode
from m2g.core.finding import Finding
from m2g.core.manifest import Manifest
from m2g.core.model import Release, Value
from m2g.inference.curl import Endpoint
from m2g.serving.spec import Chosen, Serving

Place: TypeAlias = tuple[str | int, ...]
"""Where a field stands in an object, such as `("spec", "predictor", "timeout")`."""
Commands: TypeAlias = Callable[[Endpoint, Sequence[str] | str], tuple[str, ...]]
"""A deployed model, and the file or command that gives a request body → shell commands that send it."""


class Kind(Value, frozen=True, kw_only=True):
    """A kind of Kubernetes objects; the group of the core kinds is empty."""

    group: str
    kind: str


class Backend(Value, frozen=True, kw_only=True):
    """One serving backend."""

    name: str
    """As the setting `backend` names it."""
    main: Kind
    """The kind of the object that serves a model. The object has the model's slug as its name."""
    writes: tuple[Kind, ...]
    """All kinds that m2g renders for it; sync tools must be allowed to apply them."""
    creates: Mapping[Mode | None, tuple[Kind, ...]] = {}
    """The kinds that its controller creates from them: in one deployment mode, or (None) in every one."""
    settings: Mapping[Place, str] = {}
    """Where an object that m2g writes has a setting. The first place that fits counts."""
    recorded: tuple[Place, ...] = ()
    """Where the main object has what the release record says."""
    configured: Mapping[Place, Place] = {}
    """Where the main object has what m2g.yaml says, and where m2g.yaml says it."""
    host_label: Callable[[str, str], str]
    """Slug and namespace → the longest host label that a service gets; Kubernetes allows 63 characters."""
    choose: Callable[[Release, Serving, str, Sequence[Runtime]], tuple[Chosen, list[Finding]]]
    """Release, settings, storage URI (empty: no cluster can read the model) and described runtimes → how the release
    is served, and why it cannot be served like this."""
    reads_storage: Callable[[Chosen], bool]
    """Whether a model that is served like this is read from its storage URI."""
    contradictions: Callable[[Serving], Iterator[Finding]]
    """Settings that the backend refuses together; the path of a finding is the setting's."""
    verdict: Callable[[Manifest, Sequence[Manifest], Release | None, KserveVersion, Sequence[Runtime]], Verdict | None]
    """A built main object, all objects of its overlay, the release and described runtimes → whether the runtime that
    the object names loads the model; None where that is not known."""
    refused_update: Callable[[Manifest, Manifest], str]
    """A main object before and after → why the cluster refuses the update; empty where it does not."""
    health: Callable[[str, str, Serving], tuple[Mapping[str, str], ...]]
    """Slug, namespace and settings → references (apiVersion, kind, name, namespace) to the objects whose health Flux
    waits for."""
    argocd_health: str = ""
    """A Lua health check of the main kind for Argo CD; empty where Argo CD's own is right."""
    ingress: Commands
    """How to ask a model by the cluster's ingress; no commands for a model without an address outside."""
    port_forward: Commands
    """How to ask a model by `kubectl port-forward`."""
