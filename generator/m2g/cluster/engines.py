"""Check a cluster against what the files of a repository need: KServe, the namespaces, Argo CD and Flux.

The rules come from runs of the real engines (tests/cluster) and stand in docs/how-to/argocd.md and flux.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from msgspec import UNSET

from m2g.cluster.kubectl import Kubectl
from m2g.core.config_types import Config, Environment, Kserve
from m2g.core.manifest import Manifest, get_at
from m2g.core.results import Check

_TAG = re.compile(r"[:v-](\d+)\.(\d+)(?:\.\d+)?(?:-[\w.]+)?(?:@.*)?$")
_ARGOCD, _FLUX = "argocd", "flux-system"
_POLICIES = "validatingadmissionpolicies.admissionregistration.k8s.io"
_OLDEST_ARGOCD = (3, 2)
_FLAGS = ("--concurrent=20", "--feature-gates=CancelHealthCheckOnNewRevision=true")
"""Twenty health checks at a time, and a new commit ends the old ones: with four that hang, nothing else is deployed."""
_ADD_FLAG = (
    "kubectl -n flux-system patch deployment kustomize-controller --type json --patch "
    '\'[{{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": "{}"}}]\''
)


def check_cluster(kubectl: Kubectl, config: Config, environments: Sequence[str]) -> Iterator[Check]:
    """Everything about these environments in one cluster. Raises OutsideError if it does not answer."""
    yield from _check_kserve(kubectl, config, environments)
    for name in environments:
        yield from _check_namespace(kubectl, name, config.environments[name])
    argocd = _list_applied(kubectl, "applicationsets.argoproj.io", environments, "spec", "template")
    flux = _list_applied(kubectl, "kustomizations.kustomize.toolkit.fluxcd.io", environments)
    for name in environments:
        if name in argocd and name in flux:
            yield Check(
                name=f"{name}: one engine",
                state="problem",
                message="Argo CD and Flux both deploy it to this cluster, and each undoes the other's work",
                step="keep one; to let Argo CD go, while the models stay: "
                f"kubectl -n argocd delete applicationset {_name(argocd[name])} --wait=false && "
                f"kubectl -n argocd delete applications -l m2g.dev/environment={name}",
            )
    if config.sync.argocd is not UNSET and not (flux and not argocd):
        yield from _check_argocd(kubectl, environments, argocd)
    if config.sync.flux is not UNSET and not (argocd and not flux):
        yield from _check_flux(kubectl, environments, flux)


def _check_kserve(kubectl: Kubectl, config: Config, environments: Sequence[str]) -> Iterator[Check]:
    if kubectl.find("customresourcedefinitions", "inferenceservices.serving.kserve.io") is None:
        step = "install it: https://kserve.github.io/website/docs/admin-guide/overview"
        yield Check(name="KServe", state="problem", message="is not installed", step=step)
        return
    found = kubectl.list("deployments", selector="control-plane=kserve-controller-manager")
    minor = _find_version(found[0]) if found else None
    if minor is None:
        yield Check(name="KServe", state="warning", message="its controller is not found, so its version is unknown")
        return
    running = f"{minor[0]}.{minor[1]}"
    wanted = {name: _kserve(config, config.environments[name]).version for name in environments}
    for name in [name for name, version in wanted.items() if version != running]:
        yield Check(
            name=f"{name}: KServe",
            state="problem",
            message=f"the cluster has {running}, and m2g writes for {wanted[name]}",
            step=f"write to m2g.yaml: environments: {{{name}: {{kserve: {{version: '{running}'}}}}}}, then: "
            "m2g render --locked",
        )
    if set(wanted.values()) == {running}:
        yield Check(name="KServe", state="ok", message=running)


def _kserve(config: Config, environment: Environment) -> Kserve:
    return config.kserve if environment.kserve is UNSET else environment.kserve


def _check_namespace(kubectl: Kubectl, name: str, environment: Environment) -> Iterator[Check]:
    namespace = environment.namespace
    if kubectl.find("namespaces", namespace) is not None:
        yield Check(name=f"{name}: namespace", state="ok", message=namespace)
        return
    yield Check(
        name=f"{name}: namespace",
        state="problem",
        message=f"{namespace} does not exist",
        step=f"kubectl apply -f fleet/{name}/namespace/namespace.yaml (without Flux: platform/namespaces/{name}.yaml)",
    )


def _list_applied(kubectl: Kubectl, kind: str, environments: Sequence[str], *path: str) -> dict[str, Manifest]:
    """Environment → the object of platform/ that deploys it, by the environment's label at `path`."""
    found = {}
    for item in kubectl.list(kind):
        name = get_at(item, *path, "metadata", "labels", "m2g.dev/environment")
        if isinstance(name, str) and name in environments and (path or _name(item) == f"fleet-{name}"):
            found[name] = item
    return found


def _check_argocd(kubectl: Kubectl, environments: Sequence[str], applied: dict[str, Manifest]) -> Iterator[Check]:
    controllers = kubectl.list("statefulsets", namespace=_ARGOCD)
    controller = next((one for one in controllers if "application-controller" in _name(one)), None)
    minor = _find_version(controller) if controller is not None else None
    if controller is None:
        yield Check(
            name="Argo CD", state="problem", message="is not installed in the namespace argocd",
            step="install it, or choose its cluster: m2g doctor --cluster --context NAME",
        )  # fmt: skip
        return
    if minor is not None and minor < _OLDEST_ARGOCD:
        yield Check(
            name="Argo CD", state="problem", message=f"is {minor[0]}.{minor[1]}; the scaffold needs 3.2",
            step="upgrade it: https://argo-cd.readthedocs.io/en/stable/operator-manual/upgrading/overview",
        )  # fmt: skip
    else:
        yield Check(name="Argo CD", state="ok", message=f"{minor[0]}.{minor[1]}" if minor else "version unknown")
    for name in environments:
        if name not in applied:
            yield Check(
                name=f"{name}: ApplicationSet", state="problem", message="is not applied",
                step=f"kubectl apply -f platform/argocd/{name}.yaml",
            )  # fmt: skip
            continue
        label = f"environment.m2g.dev/{name}"
        if kubectl.list("secrets", namespace=_ARGOCD, selector=f"{label}=true"):
            yield Check(name=f"{name}: clusters", state="ok", message=f"labelled {label}=true")
        else:
            yield Check(
                name=f"{name}: clusters", state="problem", message="no cluster has the label, so nothing is deployed",
                step=f"kubectl -n argocd label secret SECRET_OF_THE_CLUSTER {label}=true",
            )  # fmt: skip


def _check_flux(kubectl: Kubectl, environments: Sequence[str], applied: dict[str, Manifest]) -> Iterator[Check]:
    controller = kubectl.find("deployments", "kustomize-controller", namespace=_FLUX)
    if controller is None:
        yield Check(
            name="Flux", state="problem", message="is not installed in the namespace flux-system",
            step="install it: flux install; or choose its cluster: m2g doctor --cluster --context NAME",
        )  # fmt: skip
        return
    given = get_at(controller, "spec", "template", "spec", "containers", 0, "args")
    flags = [str(flag) for flag in given] if isinstance(given, list) else []
    for wanted in _FLAGS:
        if _is_set(wanted, flags):
            yield Check(name="Flux", state="ok", message=wanted)
        else:
            message = f"{wanted} is not set: four models that do not become ready hold up every other change"
            yield Check(name="Flux", state="warning", message=message, step=_ADD_FLAG.format(wanted))
    for name in environments:
        parent = applied.get(name)
        if parent is None:
            yield Check(
                name=f"{name}: Kustomization", state="problem", message=f"fleet-{name} is not applied",
                step=f"kubectl apply -f platform/flux/_source.yaml -f platform/flux/{name}.yaml",
            )  # fmt: skip
        elif not get_at(parent, "spec", "serviceAccountName"):
            yield Check(
                name=f"{name}: Kustomization", state="problem",
                message=f"fleet-{name} names no ServiceAccount, so a file in fleet/{name}/ may do whatever Flux may do",
                step=f"copier update, then: kubectl apply -f platform/flux/{name}.yaml",
            )  # fmt: skip
        elif not kubectl.list(_POLICIES, selector=f"m2g.dev/environment={name}"):
            yield Check(
                name=f"{name}: Kustomization", state="warning",
                message=f"fleet-{name} may write the Kustomizations of others in flux-system, because its "
                "ValidatingAdmissionPolicy (Kubernetes 1.30) is not applied",
                step=f"copier update, then: kubectl apply -f platform/flux/{name}.yaml",
            )  # fmt: skip
        else:
            yield Check(name=f"{name}: Kustomization", state="ok", message=f"fleet-{name} with bounded rights")


def _is_set(wanted: str, flags: Sequence[str]) -> bool:
    """Whether a flag is given, a number at least as high; of feature gates several may stand in one flag."""
    name, _, value = wanted.partition("=")
    given = [flag.partition("=")[2] for flag in flags if flag.partition("=")[0] == name]
    if value.isdigit():
        return any(one.isdigit() and int(one) >= int(value) for one in given)
    return any(value in one.split(",") for one in given)


def _find_version(item: Manifest) -> tuple[int, int] | None:
    """Major and minor of the first container's image, from its tag."""
    containers = get_at(item, "spec", "template", "spec", "containers")
    images = [str(get_at(one, "image")) for one in containers] if isinstance(containers, list) else []
    found = next(filter(None, map(_TAG.search, images)), None)
    return (int(found[1]), int(found[2])) if found else None


def _name(item: Manifest) -> str:
    return str(get_at(item, "metadata", "name"))
