"""What a model's overlay may contain: namespaced objects that grant no permissions."""

from __future__ import annotations

from collections.abc import Iterator

from m2g.core.schema_errors import Violation
from m2g.validation.rules.rule import ANY, CheckedObject, Rule

_CLUSTER = frozenset(
    "APIService ClusterIssuer ClusterRole ClusterRoleBinding ClusterServingRuntime ClusterStorageContainer CSIDriver "
    "CustomResourceDefinition FlowSchema IngressClass LocalModelCache LocalModelNodeGroup MutatingWebhookConfiguration "
    "Namespace Node PersistentVolume PriorityClass PriorityLevelConfiguration RuntimeClass StorageClass "
    "ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding ValidatingWebhookConfiguration "
    "VolumeSnapshotClass".split()
)
_RIGHTS = frozenset({"Role", "RoleBinding"})


def _check_foreign(obj: CheckedObject) -> Iterator[Violation]:
    if obj.overlay is None:
        return  # a platform file
    kind = obj.text("kind")
    if kind in _CLUSTER:
        yield Violation(where=("kind",), message=f"is {kind}, which is cluster-scoped")
    elif kind in _RIGHTS:
        yield Violation(where=("kind",), message=f"is {kind}, which grants permissions")


RULES = (
    Rule(
        id="overlay-scope",
        summary="A model's overlay contains only namespaced objects, and none that grants permissions.",
        why="The owners of a model write its folder. The scaffolded AppProject refuses such objects; Flux would apply "
        "them with its own permissions.",
        fix="move it to platform/, where the platform team reviews it",
        link="https://argo-cd.readthedocs.io/en/stable/user-guide/projects/",
        kinds=ANY,
        check=_check_foreign,
    ),
)
