"""Check that an object is within the bounds of m2g.yaml: its kind, its namespace, and what its pods may do."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from m2g.core.config_types import Bounds, Config
from m2g.core.manifest import Manifest, get_at, name_kind
from m2g.core.model import Value
from m2g.core.node_access import find_node_access
from m2g.core.sanitize import make_visible
from m2g.core.schema_errors import Violation
from m2g.repository import layout
from m2g.serving import backends
from m2g.serving.storage_uri import is_allowed
from m2g.validation.rules.containers import texts as list_texts

_NAMESPACE_KINDS = frozenset({"Namespace", "ServiceAccount"})
"""What fleet/<environment>/namespace/ contains in the scaffold."""
_PLATFORM_KINDS = frozenset(
    {
        *("Namespace", "ServiceAccount", "AppProject.argoproj.io", "ApplicationSet.argoproj.io"),
        *("GitRepository.source.toolkit.fluxcd.io", "Kustomization.kustomize.toolkit.fluxcd.io"),
        *("Kustomization.kustomize.config.k8s.io", "Component.kustomize.config.k8s.io"),
        # A policy only refuses, and so widens nothing.
        "ValidatingAdmissionPolicy.admissionregistration.k8s.io",
        "ValidatingAdmissionPolicyBinding.admissionregistration.k8s.io",
        *(f"{kind}.rbac.authorization.k8s.io" for kind in ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")),
    }
)
"""What platform/ contains in the scaffold. `platform_bounds` checks what the objects say."""
_PLATFORM_NAMESPACES = frozenset({"argocd", "flux-system"})
_SHOWN = 100


class BoundsInForce(Value, frozen=True, kw_only=True):
    """The bounds that count. `base` are those of the commit that a change is compared with; `ref` names it.

    What the change adds must be within both, everything else within `own`.
    """

    config: Config
    base: Config | None = None
    ref: str = ""

    def check(self, file: str, item: Manifest, *, changed: bool, environment: str = "") -> list[Violation]:
        """The violations of one object that `file` adds: an overlay, or a file in fleet/ or platform/."""
        own = list(_check(self.config, file, item, environment))
        if own or self.base is None or not changed:
            return own
        hint = (
            f"m2g.yaml allows it in this change, but only the bounds of {self.ref} count: "
            f"change {layout.CONFIG} in a pull request of its own and merge that first"
        )
        base = Config(
            version=1,
            environments=self.config.environments,
            sync=self.base.sync,
        )
        return [
            Violation(where=violation.where, message=violation.message, hint=hint)
            for violation in _check(base, file, item, environment)
        ]

    def describe(self) -> str:
        """Whose bounds these are, for the verdict; empty for the defaults, which nobody can widen."""
        if {self.config.sync.bounds, *(() if self.base is None else (self.base.sync.bounds,))} == {Bounds()}:
            return ""
        if self.base is not None:
            return f"those of {layout.CONFIG} at {self.ref}"
        return f"those of {layout.CONFIG} here; use --against, so that a change cannot widen its own"


def list_allowed_kinds(bounds: Bounds) -> frozenset[str]:
    """The kinds that Argo CD and Flux may apply for a model."""
    return backends.written_kinds(bounds.backends) | set(bounds.kinds)


def _check(config: Config, file: str, item: Manifest, environment: str) -> Iterator[Violation]:
    bounds = config.sync.bounds
    top = layout.find_top_folder(file)
    place = config.environments.get(environment)
    namespaces = {place.namespace} if place is not None else set[str]()
    if top == layout.MODELS:
        yield from _check_kind(item, list_allowed_kinds(bounds), "kinds", bounds.kinds)
        if place is not None:
            yield from _check_storage(item, place.storage.allow or config.storage.allow)
    elif top == layout.FLEET:
        yield from _check_kind(item, _NAMESPACE_KINDS | set(bounds.kinds), "kinds", bounds.kinds)
    else:
        yield from _check_kind(item, _find_platform_kinds(config, item), "platform", bounds.platform)
        namespaces = {one.namespace for one in config.environments.values()} | _PLATFORM_NAMESPACES
    yield from _check_namespace(item, namespaces, bounds)
    if bounds.pod_security == "baseline":
        yield from _check_pods(item)


def _find_platform_kinds(config: Config, item: Manifest) -> frozenset[str]:
    """What platform/ may have: ConfigMaps of models, but not those by which Argo CD and Flux are set up."""
    of_models = str(get_at(item, "metadata", "namespace")) in {one.namespace for one in config.environments.values()}
    return _PLATFORM_KINDS | ({"ConfigMap"} if of_models else frozenset[str]()) | set(config.sync.bounds.platform)


def _check_kind(item: Manifest, allowed: Collection[str], field: str, listed: Collection[str]) -> Iterator[Violation]:
    kind = name_kind(item)
    if isinstance(item.get("kind"), str) and kind not in allowed:  # else it is no object, which the schema says
        everything = ", ".join((*listed, kind))
        yield Violation(
            where=("kind",),
            message=f"is {make_visible(kind, _SHOWN) or 'empty'}, which is outside the bounds",
            hint=f"remove it, or write to {layout.CONFIG}: "
            f"sync: {{bounds: {{{field}: [{make_visible(everything, 2 * _SHOWN)}]}}}}",
        )


def _check_namespace(item: Manifest, namespaces: Collection[str], bounds: Bounds) -> Iterator[Violation]:
    is_namespace = item.get("kind") == "Namespace"
    where = ("metadata", "name" if is_namespace else "namespace")
    namespace = get_at(item, *where)
    if namespace is None or str(namespace) in {*namespaces, *bounds.namespaces}:
        return
    shown = make_visible(str(namespace), _SHOWN)
    everything = ", ".join((*bounds.namespaces, shown))
    yield Violation(
        where=where,
        message=f"is {'' if is_namespace else 'in '}the namespace {shown}, which is outside the bounds",
        hint=f"use {' or '.join(sorted(namespaces)) or 'the namespace of an environment'}, "
        f"or write to {layout.CONFIG}: sync: {{bounds: {{namespaces: [{everything}]}}}}",
    )


def _check_storage(item: Manifest, allow: Sequence[str]) -> Iterator[Violation]:
    """`storage.allow` holds for what is built, too: a component can replace the URI that m2g wrote."""
    for part in ("predictor", "transformer", "explainer") if allow else ():
        model = get_at(item, "spec", part, "model")
        if get_at(model, "storage") is not None and not _has_only_key(model):
            yield Violation(
                where=("spec", part, "model", "storage"),
                message="names storage in another way than by its URI, so m2g cannot tell whether m2g.yaml allows it",
                hint="use storageUri; storage may only have its key",
            )
    for where, text in list_texts(item):
        if where[-1:] in (("storageUri",), ("uri",)) and not is_allowed(text, allow):
            yield Violation(
                where=where,
                message=f"is {make_visible(text, _SHOWN)}, which is outside of the storage that m2g.yaml allows",
                hint=f"remove the patch that sets it, or add the prefix to storage.allow in {layout.CONFIG}",
            )


def _has_only_key(model: object) -> bool:
    """Whether a Secret of the namespace has the credentials, and the URI says where the files are."""
    storage = get_at(model, "storage")
    return isinstance(storage, dict) and storage.keys() == {"key"} and bool(get_at(model, "storageUri"))


def _check_pods(item: Manifest) -> Iterator[Violation]:
    for where in find_node_access(item):
        yield Violation(
            where=tuple(where),
            message="gives a pod access to its node, which the Pod Security Standard baseline forbids",
            hint=f"remove it, or write to {layout.CONFIG}: sync: {{bounds: {{podSecurity: privileged}}}}",
        )
