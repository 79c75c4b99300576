"""One field, one row: what a row is, the types that rows use, and the settings of the service itself.

A field has everything that m2g knows of it in one place: its type and bounds, its meaning (the text below it), and a
`Row` with the rest. Schemas, documentation, layers, findings, reviews and the objects follow from it. `core/settings`
joins the rows of all modules.
"""

from __future__ import annotations

import typing
from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from m2g.core.model import Profile, Value

Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Seconds = Annotated[int, Meta(ge=1, le=86_400)]
Name = Annotated[
    str,
    Meta(
        max_length=63,
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        description="a Kubernetes name; use lower-case letters, digits and '-', with a letter or digit at both ends",
    ),
]
GpuResource = Annotated[
    str,
    Meta(
        max_length=317,
        pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
        description="a resource of a device; write it like nvidia.com/gpu",
    ),
]
ClassName = Annotated[
    str,
    Meta(
        max_length=253,
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        description="the name of an object of the cluster; use lower-case letters, digits, '-' and '.'",
    ),
]
Text = Annotated[str, Meta(min_length=1, max_length=512)]
Scalar = str | int | float
"""A quantity or a bound as written in YAML (`2`, `0.5`, `2Gi`)."""


class Mode(StrEnum):
    """KServe's deployment mode. Before KServe 0.16 the modes were called RawDeployment and Serverless."""

    STANDARD = "Standard"
    KNATIVE = "Knative"


KserveVersion = Literal["0.15", "0.16", "0.17", "0.18", "0.19", "0.20", "0.21"]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What m2g knows of a setting beside its type, its bounds and its meaning."""

    decides: str
    """What it decides, in the words of a review: `where the pods run`."""
    risk: Literal["caution", "powerful"] = "powerful"
    """How a review names a change. Powerful is what decides what runs, as whom, on what data or for whom."""
    mode: Mode | None = None
    """The only mode that has it."""
    since: KserveVersion = "0.15"
    """The first KServe that has it."""
    places: tuple[tuple[str, ...], ...] = ()
    """Where it is in KServe's objects."""
    definition: str = ""
    """The definition that its value, or each item of its list, has in the schemas of KServe and Kubernetes."""
    only: tuple[str, ...] = ()
    """The fields of that definition that are allowed; empty for all."""
    pod: bool = False
    """Whether it is a field of a pod that Knative may refuse."""
    batch: bool = False
    """Whether the pods of a batch have it, too."""
    granted: bool = False
    """Whether model.yaml and tags may set it only if `bounds` in m2g.yaml names it."""
    adds: bool = False
    """For a list: whether a later layer adds items, in place of replacing the list."""
    key: str = ""
    """For a list: the field by which a later layer replaces an item. Without it, a later layer replaces the list."""


PREDICTOR = ("spec", "predictor")
MODEL = (*PREDICTOR, "model")
CONTAINERS = (*PREDICTOR, "containers")
_ANNOTATIONS = ("metadata", "annotations")


def in_predictor(name: str) -> tuple[tuple[str, ...], ...]:
    """The place of a field of the predictor, which is also a pod."""
    return ((*PREDICTOR, name),)


def in_model(name: str) -> tuple[tuple[str, ...], ...]:
    """The place of a field of the container that serves the model."""
    return ((*MODEL, name),)


Structure = dict[str, object]
"""A value whose form the schemas of KServe and Kubernetes say: see `Row.definition`."""


class Operation(Value, frozen=True, kw_only=True):
    """One operation of a JSON patch (RFC 6902)."""

    op: Literal["add", "remove", "replace"]
    """What it does with the field. `replace` needs a field that is there."""
    path: Annotated[
        str,
        Meta(
            max_length=512,
            pattern=r"^/spec(/([^/~]|~[01])+)+$",
            description="a JSON pointer below /spec, such as /spec/predictor/hostAliases",
        ),
    ]
    """The field as a JSON pointer. `~1` stands for `/` in a key."""
    value: object | UnsetType = UNSET
    """What `add` and `replace` write."""


class Resources(Value, frozen=True, kw_only=True):
    """Requests and limits by resource name (`cpu`, `memory`, `nvidia.com/gpu`), as quantities."""

    requests: dict[str, Scalar] = {}
    """What each replica requests, by resource name."""
    limits: dict[str, Scalar] = {}
    """The most that each replica may use, by resource name."""


class ValueFrom(Value, frozen=True, kw_only=True):
    """A variable whose value the cluster knows."""

    value_from: Annotated[Structure, Row(decides="what the server is told", definition="core.v1.EnvVarSource")]
    """`secretKeyRef`, `configMapKeyRef`, `fieldRef` or `resourceFieldRef`, as in Kubernetes."""


class Batch(Value, frozen=True, kw_only=True):
    """A batch run of `mlflow models predict` on a file: once for each version, or on a schedule."""

    input: Annotated[Text, Row(decides="what a batch reads")] | UnsetType = UNSET
    """The file with the input rows: s3://, gs://, wasbs://, abfss://, hdfs://, or pvc://claim/path."""
    output: Annotated[Text, Row(decides="what a batch writes")] | UnsetType = UNSET
    """The file to write the predictions to, as JSON."""
    schedule: Annotated[Text, Row(decides="when a batch runs", risk="caution")] | UnsetType = UNSET
    """A cron schedule with five fields. Without it, one Job runs for each version."""
    time_zone: Annotated[Text, Row(decides="when a batch runs", risk="caution")] | UnsetType = UNSET
    """The time zone of the schedule, such as `Europe/Berlin`. The default is the cluster's time zone."""
    content_type: (
        Annotated[Literal["csv", "json"], Row(decides="how a batch reads its input", risk="caution")] | UnsetType
    ) = UNSET
    """The format of the input file."""
    image: Annotated[Text, Row(decides="what a batch runs")] | UnsetType = UNSET
    """An image with MLflow and the model's packages, by digest. The default is the image that `m2g image` recorded for
    the version."""
    timeout_seconds: (
        Annotated[int, Meta(ge=1, le=2**31 - 1), Row(decides="how long a batch may run", risk="caution")] | UnsetType
    ) = UNSET
    """The time after which Kubernetes stops a run."""
    resources: Annotated[Resources, Row(decides="how large a batch is", risk="caution")] | UnsetType = UNSET
    """Requests and limits of a run. The default is those of the service."""


class ServiceSettings(Value, frozen=True, kw_only=True):
    """The service: what serves the model, how often, how large, for whom."""

    backend: Annotated[Name, Row(decides="which system serves the model", risk="caution")] | UnsetType = UNSET
    """The system that serves the model: `kserve`, `seldon-core-1` or `seldon-core-2`."""
    profile: (
        Annotated[
            Literal["auto", Profile],
            Row(decides="how the model is served", risk="caution", places=in_model("modelFormat")),
        ]
        | UnsetType
    ) = UNSET
    """How the model is served. `auto` chooses a profile that fits the model's files, and reports the reason."""
    image: (
        Annotated[Text, Row(decides="which code serves the model", places=(CONTAINERS, ("spec", "containers")))]
        | UnsetType
    ) = UNSET
    """The container image that serves the model. Leave it out if `m2g image` recorded an image for the version."""
    image_server: (
        Annotated[Literal["mlflow", "mlserver"], Row(decides="which server the image is taken for")] | UnsetType
    ) = UNSET
    """The server in the image: MLflow's scoring server with the model inside (`/invocations`), or MLServer (V2
    protocol)."""
    runtime: Annotated[Name, Row(decides="which code serves the model", places=in_model("runtime"))] | UnsetType = UNSET
    """The (Cluster)ServingRuntime that loads the model. The default is the profile's runtime, such as
    kserve-mlserver. For `seldon-core-2`, the Server."""
    min_replicas: (
        Annotated[Count, Row(decides="how many pods run", risk="caution", places=in_predictor("minReplicas"))]
        | UnsetType
    ) = UNSET
    """The minimum number of replicas. `0` means scale to zero, and works only in Knative mode."""
    max_replicas: (
        Annotated[Count, Row(decides="how many pods run", risk="caution", places=in_predictor("maxReplicas"))]
        | UnsetType
    ) = UNSET
    """The maximum number of replicas; `0` means no limit. The default is `minReplicas`, and at least 1."""
    autoscaler: (
        Annotated[
            Literal["hpa", "keda", "external", "none"],
            Row(
                decides="what sets the number of pods",
                risk="caution",
                places=((*_ANNOTATIONS, "serving.kserve.io/autoscalerClass"),),
            ),
        ]
        | UnsetType
    ) = UNSET
    """Standard mode only: what sets the number of replicas. `external` and `none` leave it to another tool and to
    `minReplicas`."""
    scale_metric: (
        Annotated[
            Literal["cpu", "memory", "concurrency", "rps"],
            Row(decides="when pods are added", risk="caution", places=in_predictor("scaleMetric")),
        ]
        | UnsetType
    ) = UNSET
    """What the autoscaler measures: `cpu` or `memory` in Standard mode, `concurrency` or `rps` in Knative mode."""
    scale_target: (
        Annotated[
            int,
            Meta(ge=1, le=2**31 - 1),
            Row(decides="when pods are added", risk="caution", places=in_predictor("scaleTarget")),
        ]
        | UnsetType
    ) = UNSET
    """The value that the autoscaler aims at: percent of the request for `cpu` and `memory`, requests per replica for
    the others."""
    container_concurrency: (
        Annotated[
            Count,
            Row(
                decides="how many requests a pod answers at once",
                risk="caution",
                mode=Mode.KNATIVE,
                places=in_predictor("containerConcurrency"),
            ),
        ]
        | UnsetType
    ) = UNSET
    """The number of concurrent requests per replica. 0 means no limit."""
    deployment_strategy: (
        Annotated[
            Literal["RollingUpdate", "Recreate"],
            Row(
                decides="how pods are replaced",
                risk="caution",
                mode=Mode.STANDARD,
                places=in_predictor("deploymentStrategy"),
            ),
        ]
        | UnsetType
    ) = UNSET
    """How pods are replaced. `RollingUpdate` starts a new pod first, so it needs room for one more. `Recreate` stops
    all pods first. The default is `RollingUpdate`; for a model that requests a GPU or another extended resource, pods
    are stopped one by one before they are replaced, because a spare one is rare."""
    timeout_seconds: (
        Annotated[Seconds, Row(decides="how long an answer may take", risk="caution", places=in_predictor("timeout"))]
        | UnsetType
    ) = UNSET
    """How long one request may take. KServe decides if nobody sets it."""
    startup_seconds: (
        Annotated[Seconds, Row(decides="how long a model may load", risk="caution", places=in_model("startupProbe"))]
        | UnsetType
    ) = UNSET
    """The time that a model may take to load before Kubernetes restarts it."""
    resources: (
        Annotated[Resources, Row(decides="how large a pod is", risk="caution", places=in_model("resources"))]
        | UnsetType
    ) = UNSET
    """Requests and limits of the container that serves the model."""
    class_: Annotated[Name, Row(decides="which class of m2g.yaml serves it", risk="caution")] | UnsetType = (
        msgspec.field(default=UNSET, name="class")
    )
    """A class that `classes` in m2g.yaml names, such as `gpu-a100`. Its settings come before the model's own."""
    gpus: Annotated[Count, Row(decides="how many GPUs a pod has", risk="caution")] | UnsetType = UNSET
    """The number of GPUs of a pod, as its request and its limit."""
    gpu_resource: Annotated[GpuResource, Row(decides="which GPUs a pod has", risk="caution")] | UnsetType = UNSET
    """The resource that `gpus` counts, such as `amd.com/gpu` or `nvidia.com/mig-1g.5gb`."""
    batch: Annotated[Batch, Row(decides="which batches run, on what data")] | UnsetType = UNSET
    """Predictions for a file, beside the service."""
    service_account_name: (
        Annotated[Name, Row(decides="as whom the pods act", places=in_predictor("serviceAccountName"))] | UnsetType
    ) = UNSET
    """The ServiceAccount of the model's pods. Its credentials read the storage URI."""
    storage_secret_name: Annotated[Name, Row(decides="with which credentials the model is read")] | UnsetType = UNSET
    """Seldon only: the Secret with the configuration of rclone that reads the storage URI."""
    env: (
        Annotated[dict[str, str | ValueFrom], Row(decides="what the server is told", places=in_model("env"))]
        | UnsetType
    ) = UNSET
    """Environment variables of the container: a text, or `valueFrom` with a reference to a Secret, a ConfigMap or a
    field of the pod. Do not put secrets here. References need the same bound as `envFrom`."""
    labels: (
        Annotated[
            dict[str, str], Row(decides="which programs of the cluster act on it", places=(("metadata", "labels"),))
        ]
        | UnsetType
    ) = UNSET
    """Labels of the InferenceService; KServe copies them to the pods."""
    annotations: (
        Annotated[dict[str, str], Row(decides="what programs of the cluster do with it", places=(_ANNOTATIONS,))]
        | UnsetType
    ) = UNSET
    """Annotations of the InferenceService; KServe copies them to the pods."""
    node_selector: (
        Annotated[
            dict[str, str],
            Row(
                decides="where the pods run", risk="caution", places=in_predictor("nodeSelector"), pod=True, batch=True
            ),
        ]
        | UnsetType
    ) = UNSET
    """Labels that a node must have."""
    visibility: Annotated[Literal["public", "cluster-local"], Row(decides="who can call the model")] | UnsetType = UNSET
    """With `cluster-local`, the service has no address outside the cluster."""


def is_older(version: KserveVersion, since: KserveVersion) -> bool:
    """Whether a version is before another one."""
    known = typing.get_args(KserveVersion)
    return known.index(version) < known.index(since)


def describe_limits(row: Row) -> str:
    """Which mode and version have a setting, as a sentence; empty if all have it."""
    words = [
        f"{row.mode} mode only." if row.mode else "",
        f"KServe {row.since} and newer." if row.since > "0.15" else "",
    ]
    return " ".join(word for word in words if word)
