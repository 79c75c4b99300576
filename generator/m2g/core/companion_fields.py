"""The rows of the container that serves the model, and of the objects beside the InferenceService."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from m2g.core.model import Value
from m2g.core.pod_fields import PodSettings
from m2g.core.setting_fields import Mode, Name, Row, Scalar, Structure, in_model, in_predictor

Argument = Annotated[str, Meta(max_length=4096)]
Share = (
    Annotated[int, Meta(ge=0, le=2**31 - 1)]
    | Annotated[str, Meta(max_length=4, pattern=r"^([0-9]|[1-9][0-9]|100)%$", description="a share; write it like 25%")]
)
"""A number of pods, or a share of them."""


class RollingUpdate(Value, frozen=True, kw_only=True):
    """How many pods are replaced at once."""

    max_surge: Share | UnsetType = UNSET
    """The pods that may run beside those that are wanted."""
    max_unavailable: Share | UnsetType = UNSET
    """The pods that may be missing."""


class DisruptionBudget(Value, frozen=True, kw_only=True):
    """The pods that stay while nodes are drained. Set one of the two."""

    min_available: Share | UnsetType = UNSET
    """The pods that must be there."""
    max_unavailable: Share | UnsetType = UNSET
    """The pods that may be missing."""


class IpBlock(Value, frozen=True, kw_only=True):
    """A range of addresses."""

    cidr: Annotated[
        str, Meta(max_length=43, pattern=r"^[0-9a-fA-F.:]+/[0-9]{1,3}$", description="a range like 10.0.0.0/8")
    ]
    """The range, such as `10.0.0.0/8`."""
    except_: tuple[str, ...] = msgspec.field(name="except", default=())
    """Ranges in it that are left out."""


class NetworkPeer(Value, frozen=True, kw_only=True):
    """Who may call a model, as in a NetworkPolicy of Kubernetes."""

    namespace_selector: (
        Annotated[Structure, Row(decides="who can call the model", definition="apis.meta.v1.LabelSelector")] | UnsetType
    ) = UNSET
    """The namespaces by their labels; `{}` for all."""
    pod_selector: (
        Annotated[Structure, Row(decides="who can call the model", definition="apis.meta.v1.LabelSelector")] | UnsetType
    ) = UNSET
    """The pods by their labels: in those namespaces, or in the model's own."""
    ip_block: Annotated[IpBlock, Row(decides="who can call the model")] | UnsetType = UNSET
    """Addresses outside of the cluster."""


class NetworkPolicy(Value, frozen=True, kw_only=True):
    """Who may call a model."""

    from_: Annotated[tuple[NetworkPeer, ...], Meta(min_length=1, max_length=100)] = msgspec.field(name="from")
    """The callers. The model's own pods may always call each other."""


class ModelCache(Value, frozen=True, kw_only=True):
    """Nodes that keep the model's files on their disks."""

    node_groups: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=16)]
    """The LocalModelNodeGroups that keep the files."""
    size: Scalar
    """The size of the files, such as `20Gi`."""


class ContainerSettings(PodSettings, frozen=True, kw_only=True):
    """How the container that serves the model is started."""

    command: (
        Annotated[
            tuple[Argument, ...],
            Row(decides="which program serves the model", places=in_model("command"), granted=True),
        ]
        | UnsetType
    ) = UNSET
    """The program of the container that serves the model, in place of the one in the image or the runtime."""
    args: (
        Annotated[tuple[Argument, ...], Row(decides="how the server is started", places=in_model("args"), granted=True)]
        | UnsetType
    ) = UNSET
    """The arguments of the server. KServe gives them to the program in place of those of the runtime, or after
    them, as the runtime says."""
    image_pull_policy: (
        Annotated[
            Literal["Always", "IfNotPresent", "Never"],
            Row(decides="when images are pulled", risk="caution", places=in_model("imagePullPolicy")),
        ]
        | UnsetType
    ) = UNSET
    """When the image of the container that serves the model is pulled."""
    ports: (
        Annotated[
            tuple[Structure, ...],
            Row(
                decides="on which ports the server is asked",
                places=in_model("ports"),
                definition="core.v1.ContainerPort",
                only=("containerPort", "name", "protocol"),
                granted=True,
            ),
        ]
        | UnsetType
    ) = UNSET
    """The ports of the container that serves the model, such as one with the name `h2c` for gRPC in Knative mode."""
    pod_labels: (
        Annotated[
            dict[str, str], Row(decides="which programs of the cluster act on the pods", places=in_predictor("labels"))
        ]
        | UnsetType
    ) = UNSET
    """Labels of the pods alone."""
    pod_annotations: (
        Annotated[
            dict[str, str],
            Row(decides="what programs of the cluster do with the pods", places=in_predictor("annotations")),
        ]
        | UnsetType
    ) = UNSET
    """Annotations of the pods alone, such as those of a service mesh."""


class CompanionSettings(ContainerSettings, frozen=True, kw_only=True):
    """What stands beside the InferenceService, and what KServe reads from elsewhere."""

    runtime_version: (
        Annotated[
            Annotated[
                str, Meta(max_length=128, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", description="the tag of an image")
            ],
            Row(decides="which code serves the model", places=in_model("runtimeVersion"), granted=True),
        ]
        | UnsetType
    ) = UNSET
    """The tag of the runtime's image, in place of the runtime's own."""
    storage: (
        Annotated[
            Structure,
            Row(
                decides="with which credentials the model is read",
                places=in_model("storage"),
                definition="v1beta1.ModelStorageSpec",
                only=("key", "parameters", "schemaPath"),
                granted=True,
            ),
        ]
        | UnsetType
    ) = UNSET
    """The entry (`key`) of KServe's Secret `storage-config` that reads the storage URI, and `parameters` that
    replace what it says. The path is the release's."""
    rolling_update: (
        Annotated[
            RollingUpdate,
            Row(
                decides="how pods are replaced",
                risk="caution",
                places=(("spec", "predictor", "deploymentStrategy", "rollingUpdate"),),
                mode=Mode.STANDARD,
            ),
        ]
        | UnsetType
    ) = UNSET
    """How many pods are replaced at once, with `deploymentStrategy: RollingUpdate`."""
    disruption_budget: (
        Annotated[DisruptionBudget, Row(decides="how many pods stay while nodes are drained", risk="caution")]
        | UnsetType
    ) = UNSET
    """A PodDisruptionBudget for the pods of the model. `sync.bounds.kinds` must name PodDisruptionBudget.policy."""
    network_policy: Annotated[NetworkPolicy, Row(decides="who can call the model", granted=True)] | UnsetType = UNSET
    """A NetworkPolicy for the pods of the model: all other callers are refused. `sync.bounds.kinds` must name
    NetworkPolicy.networking.k8s.io."""
    model_cache: (
        Annotated[ModelCache, Row(decides="which nodes keep the files of the model", granted=True, since="0.18")]
        | UnsetType
    ) = UNSET
    """A LocalModelNamespaceCache: the files are on the disks of these nodes before a pod starts.
    `sync.bounds.kinds` must name LocalModelNamespaceCache.serving.kserve.io."""
