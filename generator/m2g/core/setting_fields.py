"""The settings of a model: one field, one row.

A field of `Settings` has everything that m2g knows of it in one place: its type and bounds, its meaning (the text
below it), and a `Row` with the rest. Schemas, documentation, layers, findings, reviews and the objects follow from it.
"""

from __future__ import annotations

import functools
import typing
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal, NamedTuple

import msgspec
import msgspec.inspect as mi
from msgspec import UNSET, Meta, UnsetType

from m2g.core.model import Value

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
Text = Annotated[str, Meta(min_length=1, max_length=512)]
Scalar = str | int | float
"""A quantity or a bound as written in YAML (`2`, `0.5`, `2Gi`)."""


class Mode(StrEnum):
    """KServe's deployment mode. Before KServe 0.16 the modes were called RawDeployment and Serverless."""

    STANDARD = "Standard"
    KNATIVE = "Knative"


Profile = Literal["mlserver", "mlserver-image", "mlflow-image", "native", "huggingface", "oci"]
"""How a model is served (docs/explanation/serving.md)."""

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
    pod: bool = False
    """Whether it is a field of a pod, with the same name there. The pods of a batch have it, too."""


PREDICTOR = ("spec", "predictor")
MODEL = (*PREDICTOR, "model")
CONTAINERS = (*PREDICTOR, "containers")
_ANNOTATIONS = ("metadata", "annotations")


def _predictor(name: str) -> tuple[tuple[str, ...], ...]:
    return ((*PREDICTOR, name),)


def _model(name: str) -> tuple[tuple[str, ...], ...]:
    return ((*MODEL, name),)


class Resources(Value, frozen=True, kw_only=True):
    """Requests and limits by resource name (`cpu`, `memory`, `nvidia.com/gpu`), as quantities."""

    requests: dict[str, Scalar] = {}
    """What each replica requests, by resource name."""
    limits: dict[str, Scalar] = {}
    """The most that each replica may use, by resource name."""


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


class Settings(Value, frozen=True, kw_only=True):
    """How a model is served. Every field is optional. Layers are merged field by field, and maps key by key."""

    backend: Annotated[Name, Row(decides="which system serves the model", risk="caution")] | UnsetType = UNSET
    """The system that serves the model: `kserve`, `seldon-core-1` or `seldon-core-2`."""
    profile: (
        Annotated[
            Literal["auto", Profile],
            Row(decides="how the model is served", risk="caution", places=_model("modelFormat")),
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
    runtime: Annotated[Name, Row(decides="which code serves the model", places=_model("runtime"))] | UnsetType = UNSET
    """The (Cluster)ServingRuntime that loads the model. The default is the profile's runtime, such as
    kserve-mlserver. For `seldon-core-2`, the Server."""
    min_replicas: (
        Annotated[Count, Row(decides="how many pods run", risk="caution", places=_predictor("minReplicas"))] | UnsetType
    ) = UNSET
    """The minimum number of replicas. `0` means scale to zero, and works only in Knative mode."""
    max_replicas: (
        Annotated[Count, Row(decides="how many pods run", risk="caution", places=_predictor("maxReplicas"))] | UnsetType
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
            Row(decides="when pods are added", risk="caution", places=_predictor("scaleMetric")),
        ]
        | UnsetType
    ) = UNSET
    """What the autoscaler measures: `cpu` or `memory` in Standard mode, `concurrency` or `rps` in Knative mode."""
    scale_target: (
        Annotated[
            int,
            Meta(ge=1, le=2**31 - 1),
            Row(decides="when pods are added", risk="caution", places=_predictor("scaleTarget")),
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
                places=_predictor("containerConcurrency"),
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
                places=_predictor("deploymentStrategy"),
            ),
        ]
        | UnsetType
    ) = UNSET
    """How pods are replaced. `RollingUpdate` starts a new pod first, so it needs room for one more. `Recreate` stops
    all pods first. The default is `RollingUpdate`; for a model that requests a GPU or another extended resource, pods
    are stopped one by one before they are replaced, because a spare one is rare."""
    timeout_seconds: (
        Annotated[Seconds, Row(decides="how long an answer may take", risk="caution", places=_predictor("timeout"))]
        | UnsetType
    ) = UNSET
    """How long one request may take. KServe decides if nobody sets it."""
    startup_seconds: (
        Annotated[Seconds, Row(decides="how long a model may load", risk="caution", places=_model("startupProbe"))]
        | UnsetType
    ) = UNSET
    """The time that a model may take to load before Kubernetes restarts it."""
    resources: (
        Annotated[Resources, Row(decides="how large a pod is", risk="caution", places=_model("resources"))] | UnsetType
    ) = UNSET
    """Requests and limits of the container that serves the model."""
    batch: Annotated[Batch, Row(decides="which batches run, on what data")] | UnsetType = UNSET
    """Predictions for a file, beside the service."""
    service_account_name: (
        Annotated[Name, Row(decides="as whom the pods act", places=_predictor("serviceAccountName"))] | UnsetType
    ) = UNSET
    """The ServiceAccount of the model's pods. Its credentials read the storage URI."""
    storage_secret_name: Annotated[Name, Row(decides="with which credentials the model is read")] | UnsetType = UNSET
    """Seldon only: the Secret with the configuration of rclone that reads the storage URI."""
    env: Annotated[dict[str, str], Row(decides="what the server is told", places=_model("env"))] | UnsetType = UNSET
    """Environment variables of the container. Do not put secrets here."""
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
            Row(decides="where the pods run", risk="caution", places=_predictor("nodeSelector"), pod=True),
        ]
        | UnsetType
    ) = UNSET
    """Labels that a node must have."""
    visibility: Annotated[Literal["public", "cluster-local"], Row(decides="who can call the model")] | UnsetType = UNSET
    """With `cluster-local`, the service has no address outside the cluster."""


class Field(NamedTuple):
    """One setting: its attribute, its name in files, and its row."""

    attribute: str
    name: str
    row: Row


@functools.cache
def list_fields(kind: type[Settings | Batch] = Settings) -> Mapping[str, Field]:
    """The settings by their name in files, in order. Raises TypeError for a field without a row."""
    hints = typing.get_type_hints(kind, include_extras=True)
    names = zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True)
    return {name: Field(attribute, name, _find_row(hints[attribute])) for attribute, name in names}


def find_type(path: str) -> mi.Type | None:
    """The type of the setting at a path such as `resources.limits.memory`; None if there is none."""
    kind: mi.Type = mi.type_info(Settings)
    parts = path.split(".")
    for index, part in enumerate(parts):
        if isinstance(kind, mi.DictType):  # the rest is one key, such as nvidia.com/gpu
            return _strip(kind.value_type) if ".".join(parts[index:]) else None
        fields = kind.fields if isinstance(kind, mi.StructType) else ()
        found = next((field for field in fields if field.encode_name == part), None)
        if found is None:
            return None
        kind = _strip(found.type)
    return kind


def is_scalar(kind: mi.Type | None) -> bool:
    """Whether values of the type are one text or number, as a registry tag has it."""
    if isinstance(kind, mi.UnionType):
        return all(map(is_scalar, kind.types))
    return isinstance(kind, mi.StrType | mi.IntType | mi.FloatType | mi.LiteralType | mi.EnumType)


def _strip(kind: mi.Type) -> mi.Type:
    """The type without its metadata and without "not set"."""
    while isinstance(kind, mi.Metadata):
        kind = kind.type
    if isinstance(kind, mi.UnionType):
        kinds = [_strip(one) for one in kind.types if not isinstance(one, mi.CustomType)]
        return kinds[0] if len(kinds) == 1 else mi.UnionType(types=tuple(kinds))
    return kind


def _find_row(hint: object) -> Row:
    for part in (hint, *typing.get_args(hint)):
        for extra in getattr(part, "__metadata__", ()):
            if isinstance(extra, Row):
                return extra
    raise TypeError(f"{hint} has no row")


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
