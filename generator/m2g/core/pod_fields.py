"""The rows of Kubernetes' own fields: where the pods run, as whom, and with what beside the model."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, UnsetType

from m2g.core.setting_fields import (
    ClassName,
    Mode,
    Row,
    Seconds,
    ServiceSettings,
    Structure,
    in_model,
    in_predictor,
)


class SchedulingSettings(ServiceSettings, frozen=True, kw_only=True):
    """Where the pods run."""

    tolerations: (
        Annotated[
            tuple[Structure, ...],
            Row(
                decides="where the pods run",
                risk="caution",
                places=in_predictor("tolerations"),
                definition="core.v1.Toleration",
                pod=True,
                batch=True,
            ),
        ]
        | UnsetType
    ) = UNSET
    """The taints of nodes that the pods tolerate, as in Kubernetes."""
    affinity: (
        Annotated[
            Structure,
            Row(
                decides="where the pods run",
                risk="caution",
                places=in_predictor("affinity"),
                definition="core.v1.Affinity",
                pod=True,
                batch=True,
            ),
        ]
        | UnsetType
    ) = UNSET
    """The nodes and the other pods that the pods run near or far from, as in Kubernetes."""
    topology_spread_constraints: (
        Annotated[
            tuple[Structure, ...],
            Row(
                decides="where the pods run",
                risk="caution",
                places=in_predictor("topologySpreadConstraints"),
                definition="core.v1.TopologySpreadConstraint",
                pod=True,
            ),
        ]
        | UnsetType
    ) = UNSET
    """How the pods are spread over zones and nodes, as in Kubernetes."""
    priority_class_name: (
        Annotated[
            ClassName,
            Row(
                decides="which other pods make room",
                places=in_predictor("priorityClassName"),
                pod=True,
                batch=True,
                granted=True,
            ),
        ]
        | UnsetType
    ) = UNSET
    """The PriorityClass of the pods. Pods of a higher one may stop others."""
    runtime_class_name: (
        Annotated[
            ClassName,
            Row(
                decides="how the pods are kept apart from the node",
                places=in_predictor("runtimeClassName"),
                pod=True,
                batch=True,
                granted=True,
            ),
        ]
        | UnsetType
    ) = UNSET
    """The RuntimeClass of the pods, such as `nvidia` or `gvisor`."""
    scheduler_name: (
        Annotated[
            ClassName,
            Row(
                decides="which program chooses the nodes",
                places=in_predictor("schedulerName"),
                pod=True,
                batch=True,
                granted=True,
            ),
        ]
        | UnsetType
    ) = UNSET
    """The scheduler that chooses the nodes."""


class PodSettings(SchedulingSettings, frozen=True, kw_only=True):
    """As whom the pods run, and what they have beside the model."""

    image_pull_secrets: (
        Annotated[
            tuple[Structure, ...],
            Row(
                decides="whose credentials pull the images",
                places=in_predictor("imagePullSecrets"),
                definition="core.v1.LocalObjectReference",
                batch=True,
                granted=True,
                key="name",
            ),
        ]
        | UnsetType
    ) = UNSET
    """The Secrets that pull the images, as a list of `name`."""
    pod_security: (
        Annotated[Literal["baseline", "restricted"], Row(decides="what the pods may do", granted=True)] | UnsetType
    ) = UNSET
    """With `restricted`, m2g writes what the Pod Security Standard of that name wants: no root, no privileges beside
    the user's, the runtime's seccomp profile. `podSecurityContext` and `securityContext` change single fields of it."""
    pod_security_context: (
        Annotated[
            Structure,
            Row(
                decides="what the pods may do",
                places=in_predictor("securityContext"),
                definition="core.v1.PodSecurityContext",
                pod=True,
                batch=True,
                granted=True,
            ),
        ]
        | UnsetType
    ) = UNSET
    """The securityContext of the pods, such as `fsGroup` and `runAsUser`."""
    security_context: (
        Annotated[
            Structure,
            Row(
                decides="what the container may do",
                places=in_model("securityContext"),
                definition="core.v1.SecurityContext",
                batch=True,
                granted=True,
            ),
        ]
        | UnsetType
    ) = UNSET
    """The securityContext of the container that serves the model."""
    volumes: (
        Annotated[
            tuple[Structure, ...],
            Row(
                decides="which data the pods can read",
                places=in_predictor("volumes"),
                definition="core.v1.Volume",
                only=("name", "configMap", "csi", "emptyDir", "persistentVolumeClaim", "projected", "secret"),
                batch=True,
                granted=True,
                key="name",
            ),
        ]
        | UnsetType
    ) = UNSET
    """Volumes of the pods. The node's own files (`hostPath`) are none of them."""
    volume_mounts: (
        Annotated[
            tuple[Structure, ...],
            Row(
                decides="which files the server finds",
                places=in_model("volumeMounts"),
                definition="core.v1.VolumeMount",
                batch=True,
                granted=True,
                key="mountPath",
            ),
        ]
        | UnsetType
    ) = UNSET
    """Where the container that serves the model has the volumes."""
    env_from: (
        Annotated[
            tuple[Structure, ...],
            Row(
                decides="which Secrets and ConfigMaps the server is told",
                places=in_model("envFrom"),
                definition="core.v1.EnvFromSource",
                batch=True,
                granted=True,
            ),
        ]
        | UnsetType
    ) = UNSET
    """All keys of a Secret (`secretRef`) or a ConfigMap (`configMapRef`) as environment variables."""
    readiness_probe: (
        Annotated[
            Structure,
            Row(
                decides="when a pod gets requests",
                places=in_model("readinessProbe"),
                definition="core.v1.Probe",
                granted=True,
            ),
        ]
        | UnsetType
    ) = UNSET
    """Changes fields of the readiness probe that m2g writes, such as `periodSeconds`. A check (`httpGet`, `exec` …)
    replaces m2g's."""
    liveness_probe: (
        Annotated[
            Structure,
            Row(
                decides="when a pod is started again",
                places=in_model("livenessProbe"),
                definition="core.v1.Probe",
                granted=True,
            ),
        ]
        | UnsetType
    ) = UNSET
    """The liveness probe. m2g writes none."""
    startup_probe: (
        Annotated[
            Structure,
            Row(
                decides="how long a model may load",
                mode=Mode.STANDARD,
                places=in_model("startupProbe"),
                definition="core.v1.Probe",
                granted=True,
            ),
        ]
        | UnsetType
    ) = UNSET
    """Changes fields of the startup probe that m2g writes. `startupSeconds` is enough for most models."""
    lifecycle: (
        Annotated[
            Structure,
            Row(
                decides="what runs when a pod starts and ends",
                mode=Mode.STANDARD,
                places=in_model("lifecycle"),
                definition="core.v1.Lifecycle",
                granted=True,
            ),
        ]
        | UnsetType
    ) = UNSET
    """What runs after the start of the container and before its end."""
    termination_grace_period_seconds: (
        Annotated[
            Seconds,
            Row(
                decides="how long a pod may take to end",
                risk="caution",
                mode=Mode.STANDARD,
                places=in_predictor("terminationGracePeriodSeconds"),
                pod=True,
            ),
        ]
        | UnsetType
    ) = UNSET
    """The time between the request to end and the end of a pod, in which it answers what it has begun."""
