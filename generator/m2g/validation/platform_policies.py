"""Check that the API server holds each account of fleet/<env> to its own Kustomizations: a Role knows no names."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from m2g.core.manifest import Manifest, get_at, name_kind
from m2g.core.schema_errors import Violation

_GROUP = "admissionregistration.k8s.io"
_FLUX, _RESOURCE = "kustomize.toolkit.fluxcd.io", "kustomizations"
POLICY, BINDING = f"ValidatingAdmissionPolicy.{_GROUP}", f"ValidatingAdmissionPolicyBinding.{_GROUP}"
_NARROWING = ("excludeResourceRules", "namespaceSelector", "objectSelector")
_OPERATIONS = ("CREATE", "UPDATE", "DELETE")


def check_policy(kustomization: Manifest, objects: Collection[Manifest]) -> Iterator[Violation]:
    """The violation of one Kustomization of Flux, if platform/ has policies and none holds its account."""
    policies = [item for item in objects if name_kind(item) == POLICY]
    environment = str(get_at(kustomization, "spec", "path") or "").rstrip("/").rpartition("/")[2]
    account = f"{get_at(kustomization, 'metadata', 'namespace')}:{get_at(kustomization, 'spec', 'serviceAccountName')}"
    bound = {str(get_at(item, "spec", "policyName")) for item in objects if _denies(item)}
    if policies and not any(
        str(get_at(item, "metadata", "name")) in bound and _holds(item, account, environment) for item in policies
    ):
        yield Violation(
            where=("spec", "serviceAccountName"),
            message=f"no ValidatingAdmissionPolicy in platform/ that is bound with Deny keeps system:serviceaccount:"
            f"{account} to Kustomizations called <slug>.{environment}",
            hint="`copier update` brings the policy of the scaffold; keep its expressions as they are",
        )


def _denies(item: Manifest) -> bool:
    """Whether it binds a policy for every object, and refuses."""
    actions = get_at(item, "spec", "validationActions")
    narrowed = any(get_at(item, "spec", field) for field in ("matchResources", "paramRef"))
    return name_kind(item) == BINDING and isinstance(actions, list) and "Deny" in actions and not narrowed


def _holds(policy: Manifest, account: str, environment: str) -> bool:
    constraints = get_at(policy, "spec", "matchConstraints")
    user = f"request.userInfo.username == 'system:serviceaccount:{account}'"
    return (
        get_at(policy, "spec", "failurePolicy") in (None, "Fail")
        and not any(get_at(constraints, field) for field in _NARROWING)
        and any(_matches(rule) for rule in _list(get_at(constraints, "resourceRules")))
        and all(get_at(one, "expression") == user for one in _list(get_at(policy, "spec", "matchConditions")))
        and any(
            get_at(one, "expression") == f"request.name.endsWith('.{environment}')"
            for one in _list(get_at(policy, "spec", "validations"))
        )
    )


def _matches(rule: object) -> bool:
    """Whether a rule is about every change of every Kustomization of Flux."""
    wanted: Iterable[tuple[str, Sequence[str]]] = (
        ("apiGroups", (_FLUX,)),
        ("apiVersions", ("*",)),
        ("operations", _OPERATIONS),
        ("resources", (_RESOURCE,)),
    )
    complete = all("*" in (given := _list(get_at(rule, field))) or set(names) <= set(given) for field, names in wanted)
    return complete and not get_at(rule, "resourceNames")


def _list(found: object) -> list[object]:
    return found if isinstance(found, list) else []
