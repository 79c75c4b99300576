"""What a model's overlay may hold: objects of its own namespace, and no rights."""

from __future__ import annotations

from collections.abc import Iterator

from m2g.validation.rules.rule import ANY, Fault, Rule, Subject

_CLUSTER = frozenset(
    "APIService ClusterIssuer ClusterRole ClusterRoleBinding ClusterServingRuntime ClusterStorageContainer CSIDriver "
    "CustomResourceDefinition FlowSchema IngressClass LocalModelCache LocalModelNodeGroup MutatingWebhookConfiguration "
    "Namespace Node PersistentVolume PriorityClass PriorityLevelConfiguration RuntimeClass StorageClass "
    "ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding ValidatingWebhookConfiguration "
    "VolumeSnapshotClass".split()
)
_RIGHTS = frozenset({"Role", "RoleBinding"})


def _foreign(subject: Subject) -> Iterator[Fault]:
    if subject.overlay is None:
        return  # a file of the platform
    kind = subject.text("kind")
    if kind in _CLUSTER:
        yield Fault(place=("kind",), message=f"is {kind}, which belongs to the whole cluster")
    elif kind in _RIGHTS:
        yield Fault(place=("kind",), message=f"is {kind}, which gives rights")


RULES = (
    Rule(
        id="overlay-scope",
        summary="A model's overlay holds objects of its own namespace, and none that gives rights.",
        why="A model's folder is written by its owners. The scaffolded AppProject refuses such objects; with Flux they "
        "would be applied with Flux's own rights.",
        fix="put it under platform/, where the platform team reviews it",
        link="https://argo-cd.readthedocs.io/en/stable/user-guide/projects/",
        kinds=ANY,
        check=_foreign,
    ),
)
